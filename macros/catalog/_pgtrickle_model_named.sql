{#
  The node of the stream table model with this name, none when there is no such model. As in `ref`, the latest version is the
  one that has the model's name; the alias and the name of the table are names, too.
#}
{% macro _pgtrickle_model_named(name) %}
  {%- set nodes = dbt_pgtrickle._pgtrickle_models() -%}
  {%- for node in nodes if node.name == name and node.get('version') == node.get('latest_version') -%}
    {{- return(node) -}}
  {%- endfor -%}
  {%- for node in nodes if name in [node.alias, dbt_pgtrickle._pgtrickle_relation_of(node).identifier] -%}
    {{- return(node) -}}
  {%- endfor -%}
  {{- return(none) -}}
{% endmacro %}

{# The node of the stream table model with this relation; none if it has none. #}
{% macro _pgtrickle_model_of(relation) %}
  {%- for node in dbt_pgtrickle._pgtrickle_models() if node.get('relation_name') == relation | string -%}
    {{- return(node) -}}
  {%- endfor -%}
  {{- return(none) -}}
{% endmacro %}

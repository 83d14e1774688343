{# The nodes of the project's stream table models, of one that is named or of all. #}
{% macro pgtrickle_models(name=none) %}
  {%- set nodes = [] -%}
  {%- for node in graph.nodes.values()
      if node.resource_type == 'model' and node.config.materialized == 'stream_table' and name in [none, node.name, node.alias] -%}
    {%- do nodes.append(node) -%}
  {%- endfor -%}
  {%- if name is not none and not nodes -%}
    {%- do exceptions.raise_compiler_error('there is no stream table model named `' ~ name ~ '`') -%}
  {%- endif -%}
  {{- return(nodes) -}}
{% endmacro %}

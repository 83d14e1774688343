{# The nodes of the project's stream table models. #}
{% macro _pgtrickle_models() %}
  {%- set nodes = [] -%}
  {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.materialized == 'stream_table' -%}
    {%- do nodes.append(node) -%}
  {%- endfor -%}
  {{- return(nodes) -}}
{% endmacro %}

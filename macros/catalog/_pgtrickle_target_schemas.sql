{# The schemas of the project's models for this target. #}
{% macro _pgtrickle_target_schemas() %}
  {%- set schemas = [target.schema] -%}
  {%- for node in graph.nodes.values() if node.resource_type == 'model' -%}
    {%- set schema = dbt_pgtrickle._pgtrickle_relation_of(node).schema if node.config.materialized == 'stream_table' else node.schema -%}
    {%- if schema not in schemas -%}
      {%- do schemas.append(schema) -%}
    {%- endif -%}
  {%- endfor -%}
  {{- return(schemas) -}}
{% endmacro %}

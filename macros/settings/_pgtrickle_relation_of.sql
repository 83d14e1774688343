{# The relation that a model's stream table is, whether the engine can hold its name or not. #}
{% macro _pgtrickle_relation_of(node) %}
  {%- set configured = dbt_pgtrickle._pgtrickle_configured(node) -%}
  {{- return(api.Relation.create(
      database=node.database,
      schema=configured.get('stream_table_schema') or node.schema,
      identifier=configured.get('stream_table_name') or node.alias,
      type='table'
  )) -}}
{% endmacro %}

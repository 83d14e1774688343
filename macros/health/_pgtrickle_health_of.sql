{#
  SQL for the health of one stream table, by dbt's own name for it. Its limits are those of its model, unless some are
  given; a source has those of its schedule.
#}
{% macro _pgtrickle_health_of(relation, warn_after=none, error_after=none) %}
  {%- set node = dbt_pgtrickle._pgtrickle_model_of(relation) -%}
  {%- if node is none -%}
    {%- set tables = [{'schema': relation.schema, 'name': relation.identifier, 'warn_after': warn_after, 'error_after': error_after}] -%}
  {%- else -%}
    {%- set tables = dbt_pgtrickle._pgtrickle_tables_to_judge([node], warn_after, error_after) -%}
  {%- endif -%}
  {{- return(dbt_pgtrickle._pgtrickle_health_sql(dbt_pgtrickle._pgtrickle_tables_around(tables))) -}}
{% endmacro %}

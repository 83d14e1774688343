{# SQL for the health of one stream table, by dbt's own name for it; its limits are those of its model. #}
{% macro pgtrickle_health_of(relation, error_after=none) %}
  {%- set node = dbt_pgtrickle.pgtrickle_model_of(relation) -%}
  {%- if node is none -%}
    {#- A source: somebody else's stream table, which has no limits here. -#}
    {{- return(dbt_pgtrickle.pgtrickle_health_sql([{'schema': relation.schema, 'name': relation.identifier, 'warn_after': none, 'error_after': error_after}])) -}}
  {%- endif -%}
  {{- return(dbt_pgtrickle.pgtrickle_health_sql(dbt_pgtrickle.pgtrickle_tables_to_judge([node], error_after=error_after))) -}}
{% endmacro %}

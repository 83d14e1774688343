{#
  dbt run-operation pgtrickle_check_freshness [--args '{model_name: order_totals, warn_seconds: 90, error_seconds: 300}']

  Fails when a stream table of the project is missing, in error, suspended, never populated or older than its limit.
#}
{% macro pgtrickle_check_freshness(model_name=none, warn_seconds=none, error_seconds=none) %}
  {%- if execute -%}
    {%- set tables = dbt_pgtrickle.pgtrickle_tables_to_judge(dbt_pgtrickle.pgtrickle_models(model_name), warn_seconds, error_seconds) -%}
    {%- set sql %}
      select schema_name || '.' || table_name as name, verdict, state || ': ' || detail as detail
      from ({{ dbt_pgtrickle.pgtrickle_health_sql(tables) }}) as health
    {%- endset -%}
    {%- do dbt_pgtrickle.pgtrickle_report('freshness', run_query(sql).rows if tables else []) -%}
  {%- endif -%}
{% endmacro %}

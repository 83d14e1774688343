{# A row {name, verdict, detail, state} for each stream table model of the project, or for one of them. #}
{% macro pgtrickle_health_rows(model_name=none, warn_seconds=none, error_seconds=none) %}
  {%- set tables = dbt_pgtrickle.pgtrickle_tables_to_judge(dbt_pgtrickle.pgtrickle_models(model_name), warn_seconds, error_seconds) -%}
  {%- if not tables -%}
    {{- return([]) -}}
  {%- endif -%}
  {%- set sql %}
    select schema_name || '.' || table_name as name, verdict, state || ': ' || detail as detail, state
    from ({{ dbt_pgtrickle.pgtrickle_health_sql(tables) }}) as health
  {%- endset -%}
  {{- return(run_query(sql).rows) -}}
{% endmacro %}

{# A row {name, verdict, detail, state} for each stream table model of the project, or for one stream table by its name. #}
{% macro _pgtrickle_health_rows(model_name=none, warn_seconds=none, error_seconds=none) %}
  {%- set tables = dbt_pgtrickle._pgtrickle_tables_named(model_name, warn_seconds, error_seconds) -%}
  {%- if not tables -%}
    {{- return([]) -}}
  {%- endif -%}
  {%- set sql %}
    select schema_name || '.' || table_name as name, verdict, state || ': ' || detail as detail, state
    from ({{ dbt_pgtrickle._pgtrickle_health_sql(dbt_pgtrickle._pgtrickle_tables_around(tables)) }}) as health
  {%- endset -%}
  {{- return(run_query(sql).rows) -}}
{% endmacro %}

{#
  dbt run-operation pgtrickle_check_cdc_health

  Fails when a source of any stream table in the database is no longer captured: an alert of the engine, or a capture
  trigger that is missing or disabled, which the engine does not look at.
#}
{% macro pgtrickle_check_cdc_health() %}
  {%- if not dbt_pgtrickle._pgtrickle_only_renders() -%}
    {%- do dbt_pgtrickle._pgtrickle_report('change capture', run_query(dbt_pgtrickle._pgtrickle_cdc_health_sql()).rows) -%}
  {%- endif -%}
{% endmacro %}

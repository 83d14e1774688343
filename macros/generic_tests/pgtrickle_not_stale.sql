{# Fails when the stream table is missing, was never populated or is too old, and warns when it is late: docs/checks.md. #}
{% test pgtrickle_not_stale(model) %}
  {{- dbt_pgtrickle._pgtrickle_config_of_verdicts() -}}
  {%- if execute -%}
    select schema_name, table_name, state, freshness as verdict, detail
    from ({{ dbt_pgtrickle._pgtrickle_health_of(model) }}) as health where freshness <> 'ok'
  {%- endif -%}
{% endtest %}

{# Fails when the stream table is missing or its refresh fails, and warns when its last refreshes failed: docs/checks.md. #}
{% test pgtrickle_no_errors(model) %}
  {{- dbt_pgtrickle._pgtrickle_config_of_verdicts() -}}
  {%- if execute -%}
    select schema_name, table_name, state, errors as verdict, detail
    from ({{ dbt_pgtrickle._pgtrickle_health_of(model) }}) as health where errors <> 'ok'
  {%- endif -%}
{% endtest %}

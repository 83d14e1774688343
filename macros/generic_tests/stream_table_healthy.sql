{#
  Fails when the stream table is an error, and warns where it is a warning, by the rule of docs/checks.md. A table that is
  older than `warn_seconds`, or than `error_seconds`, fails, whatever its schedule and its model say of its age; with both,
  it warns from the first and fails from the second.
#}
{% test stream_table_healthy(model, warn_seconds=none, error_seconds=none) %}
  {{- dbt_pgtrickle._pgtrickle_config_of_verdicts() -}}
  {%- if execute -%}
    {%- set error_after = error_seconds if error_seconds is not none else warn_seconds -%}
    select * from ({{ dbt_pgtrickle._pgtrickle_health_of(model, error_after if warn_seconds is none else warn_seconds, error_after) }}) as health where verdict <> 'ok'
  {%- endif -%}
{% endtest %}

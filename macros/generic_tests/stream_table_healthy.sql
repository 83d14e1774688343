{#
  Fails when the stream table is missing, in error, suspended, never populated or older than its limit: the model's
  `meta.pgtrickle.freshness.error_after`, or a minute more than its schedule. With `warn_seconds`, that
  age is the limit.
#}
{% test stream_table_healthy(model, warn_seconds=none) %}
  {%- if execute -%}
    select * from ({{ dbt_pgtrickle.pgtrickle_health_of(model, warn_seconds) }}) as health where verdict = 'error'
  {%- endif -%}
{% endtest %}

{#
  Fails when the stream table is missing, in error, suspended, never populated or older than its limit: the model's
  `meta.pgtrickle.freshness.error_after`, or a minute more than its schedule. It takes no arguments, because dbt
  versions do not agree on how to write them.
#}
{% test stream_table_healthy(model) %}
  {%- if execute -%}
    select * from ({{ dbt_pgtrickle.pgtrickle_health_of(model) }}) as health where verdict = 'error'
  {%- endif -%}
{% endtest %}

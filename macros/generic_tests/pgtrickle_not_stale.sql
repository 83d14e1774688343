{# Fails when the stream table is missing, was never populated, or is older than its limit: see stream_table_healthy. #}
{% test pgtrickle_not_stale(model) %}
  {%- if execute -%}
    select * from ({{ dbt_pgtrickle.pgtrickle_health_of(model) }}) as health
    where too_old or state in ('not_found', 'populating')
  {%- endif -%}
{% endtest %}

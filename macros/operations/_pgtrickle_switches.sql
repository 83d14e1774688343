{#
  What pg_trickle's switches say for the whole server, each true or false. A server of an older version, which lacks one, has
  it off, and so has one that does not know, as newer versions before the first drain.
#}
{% macro _pgtrickle_switches() %}
  {%- set has_drain = 'is_drained' in dbt_pgtrickle._pgtrickle_engine().parameters -%}
  {%- set sql %}
    select jsonb_build_object(
      'is_drained', {{ 'coalesce(pgtrickle.is_drained(), false)' if has_drain else 'false' }},
      'cdc_paused', coalesce(pg_catalog.current_setting('pg_trickle.cdc_paused', true) = 'on', false),
      'force_full', coalesce(pg_catalog.current_setting('pg_trickle.force_full_refresh', true) = 'on', false),
      'backpressure_active', coalesce(pg_catalog.current_setting('pg_trickle.enforce_backpressure', true) = 'on', false),
      'enabled', coalesce(pg_catalog.current_setting('pg_trickle.enabled', true) <> 'off', true)
    )::text
  {%- endset -%}
  {{- return(fromjson(dbt_pgtrickle._pgtrickle_first_column(sql)[0])) -}}
{% endmacro %}

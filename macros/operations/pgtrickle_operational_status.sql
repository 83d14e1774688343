{#
  dbt run-operation pgtrickle_operational_status

  How the engine is, for all of the database: what it says of itself, that its scheduler runs and is not switched off, and
  that no stream table is in error or suspended.
#}
{% macro pgtrickle_operational_status() %}
  {%- set sql %}
    select check_name as name,
      case
        when severity = 'ERROR' or (check_name = 'scheduler_running' and severity <> 'OK') then 'error'
        when severity = 'OK' then 'ok'
        else 'warn'
      end as verdict,
      detail
    from pgtrickle.health_check()
    union all
    select 'enabled', 'error', 'pg_trickle.enabled is off: nothing is refreshed'
    where pg_catalog.current_setting('pg_trickle.enabled', true) = 'off'
    union all
    -- The engine's own check of errors does not count these.
    select 'suspended_tables', case when count(*) = 0 then 'ok' else 'error' end,
      coalesce(string_agg(pgt_schema || '.' || pgt_name, ', ' order by pgt_schema, pgt_name), 'none')
    from pgtrickle.pgt_stream_tables
    where status = 'SUSPENDED'
  {%- endset -%}
  {%- if execute -%}
    {%- do dbt_pgtrickle.pgtrickle_report('pg_trickle ' ~ dbt_pgtrickle.pgtrickle_engine().version, run_query(sql).rows) -%}
  {%- endif -%}
{% endmacro %}

{#
  dbt run-operation pgtrickle_operational_status

  How the engine is, for all of the database, as a mapping of true and false: scheduler_running, enabled, is_drained (no
  refresh is under way), cdc_paused, force_full, backpressure_active. As an operation it logs what the engine says of itself,
  and fails when its scheduler does not run or is switched off, and when a stream table is in error or suspended. While dbt
  parses, and in a hook that it only compiles, nothing is looked up, and the answer is that of an engine that works.
#}
{% macro pgtrickle_operational_status() %}
  {%- if dbt_pgtrickle._pgtrickle_only_renders(in_hook=true) -%}
    {{- return({
      'scheduler_running': true, 'enabled': true, 'is_drained': false, 'cdc_paused': false, 'force_full': false,
      'backpressure_active': false,
    }) -}}
  {%- endif -%}
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
    {%- if 'resume_after_drain' in dbt_pgtrickle._pgtrickle_engine().parameters %}
    union all
    select 'drained', 'error', 'nothing is refreshed until pgtrickle.resume_after_drain() is called'
    where pgtrickle.is_drained()
    {%- endif %}
    union all
    -- The engine's own check of errors does not count these.
    select 'suspended_tables', case when count(*) = 0 then 'ok' else 'error' end,
      coalesce(string_agg(pgt_schema || '.' || pgt_name, ', ' order by pgt_schema, pgt_name), 'none')
    from pgtrickle.pgt_stream_tables
    where status = 'SUSPENDED'
  {%- endset -%}
  {%- set rows = run_query(sql).rows -%}
  {%- if dbt_pgtrickle._pgtrickle_is_operation('pgtrickle_operational_status') -%}
    {%- do dbt_pgtrickle._pgtrickle_report('pg_trickle ' ~ dbt_pgtrickle._pgtrickle_engine().version, rows) -%}
  {%- endif -%}
  {%- set answer = dbt_pgtrickle._pgtrickle_switches() -%}
  {%- for row in rows if row['name'] == 'scheduler_running' -%}
    {%- do answer.update({'scheduler_running': row['verdict'] == 'ok'}) -%}
  {%- endfor -%}
  {{- return(answer) -}}
{% endmacro %}

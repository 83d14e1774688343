{#
  dbt run-operation pgtrickle_enable_monitoring

  Creates the stream tables by which the engine watches itself, and says how each is.
#}
{% macro pgtrickle_enable_monitoring() %}
  {%- if not dbt_pgtrickle._pgtrickle_only_renders() -%}
    {%- set engine = dbt_pgtrickle._pgtrickle_engine() -%}
    {%- if 'setup_self_monitoring' not in engine.parameters -%}
      {%- do dbt_pgtrickle._pgtrickle_raise('pg_trickle ' ~ engine.version ~ ' on this server cannot monitor itself; pg_trickle 0.67.0 can') -%}
    {%- endif -%}
    {%- set begun = dbt_pgtrickle._pgtrickle_begin_own() -%}
    {%- do dbt_pgtrickle._pgtrickle_lock() -%}
    {%- do dbt_pgtrickle._pgtrickle_execute('pgtrickle.setup_self_monitoring()') -%}
    {%- set sql %}
      select st_name as name, case when "exists" and status = 'ACTIVE' then 'ok' else 'error' end as verdict,
        concat_ws(', ', case when not "exists" then 'missing' end, status, refresh_mode) as detail
      from pgtrickle.self_monitoring_status()
    {%- endset -%}
    {%- set rows = run_query(sql).rows -%}
    {%- do dbt_pgtrickle._pgtrickle_commit_own(begun) -%}
    {%- do dbt_pgtrickle._pgtrickle_report('monitoring', rows) -%}
  {%- endif -%}
{% endmacro %}

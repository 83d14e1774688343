{#
  dbt run-operation pgtrickle_drain [--args '{timeout_s: 60}']

  Waits until no refresh is under way, and answers whether none is after the time; false while dbt parses or compiles. As an
  operation it fails when one still is. The scheduler goes on afterwards.

  The engine's own answer is of the whole server: without parallel workers, the scheduler of another database can give it while
  a refresh of this one is under way (docs/pg_trickle.md, Scheduler). So the locks of refreshes are waited for, too.
#}
{% macro pgtrickle_drain(timeout_s=60) %}
  {%- if dbt_pgtrickle._pgtrickle_only_renders() -%}
    {{- return(false) -}}
  {%- endif -%}
  {%- set state = namespace(drained=dbt_pgtrickle._pgtrickle_first_column(dbt_pgtrickle._pgtrickle_drain_sql(timeout_s))[0], is_busy=true) -%}
  {%- for _ in range(2 * timeout_s | int + 1) -%}
    {%- if state.drained and state.is_busy -%}
      {%- if not loop.first -%}
        {%- do run_query('select pg_catalog.pg_sleep(0.5)') -%}
      {%- endif -%}
      {%- set state.is_busy = dbt_pgtrickle._pgtrickle_first_column(dbt_pgtrickle._pgtrickle_refreshing_sql())[0] -%}
    {%- endif -%}
  {%- endfor -%}
  {%- set drained = state.drained and not state.is_busy -%}
  {%- set message = 'no refresh is under way' if drained else 'refreshes were still under way after ' ~ timeout_s ~ ' s' -%}
  {%- if not drained and dbt_pgtrickle._pgtrickle_is_operation('pgtrickle_drain') -%}
    {%- do dbt_pgtrickle._pgtrickle_raise(message) -%}
  {%- endif -%}
  {%- do dbt_pgtrickle._pgtrickle_log(message) -%}
  {{- return(drained) -}}
{% endmacro %}

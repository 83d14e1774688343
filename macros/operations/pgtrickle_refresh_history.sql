{#
  dbt run-operation pgtrickle_refresh_history --args '{model_name: order_totals, limit: 20}'

  The last refreshes of a stream table, newest first. Fails when there is no such table, or when the newest failed.
  A refresh that fails in the scheduler leaves no row (docs/pg_trickle.md, Refresh and history): ask for the status, too.
#}
{% macro pgtrickle_refresh_history(model_name, limit=20) %}
  {%- if not dbt_pgtrickle._pgtrickle_only_renders() -%}
    {%- set name = dbt_pgtrickle._pgtrickle_name(dbt_pgtrickle._pgtrickle_relation_named(model_name)) -%}
    {%- if not dbt_pgtrickle.pgtrickle_stream_table_exists(name) -%}
      {%- do dbt_pgtrickle._pgtrickle_raise('there is no stream table ' ~ name) -%}
    {%- endif -%}
    {%- set sql %}
      select
        h.start_time::timestamp(0)::text as name,
        case when h.status = 'FAILED' and row_number() over (order by h.refresh_id desc) = 1 then 'error' else 'ok' end as verdict,
        concat_ws(', ', h.action, lower(h.status), h.rows_inserted || ' in', (to_jsonb(h) ->> 'rows_updated') || ' updated', h.rows_deleted || ' out', round(h.duration_ms) || ' ms', h.error_message) as detail
      from pgtrickle.get_refresh_history({{ dbt_pgtrickle._pgtrickle_literal(name) }}, {{ limit | int }}) as h
      order by h.refresh_id desc
    {%- endset -%}
    {%- do dbt_pgtrickle._pgtrickle_report('refreshes of ' ~ name, run_query(sql).rows) -%}
  {%- endif -%}
{% endmacro %}

{#
  dbt run-operation pgtrickle_refresh_history --args '{model_name: order_totals, limit: 20}'

  The last refreshes of a model's stream table, newest first. Fails when there is no such table, or when the newest failed.
  A refresh that fails in the scheduler leaves no row (docs/pg_trickle.md, Refresh and history): ask for the status, too.
#}
{% macro pgtrickle_refresh_history(model_name, limit=20) %}
  {%- for node in dbt_pgtrickle.pgtrickle_models(model_name) if execute -%}
    {%- set relation = dbt_pgtrickle.pgtrickle_relation_of(node) -%}
    {%- if not dbt_pgtrickle.pgtrickle_stream_table_exists(relation) -%}
      {%- do exceptions.raise_compiler_error('there is no stream table ' ~ dbt_pgtrickle.pgtrickle_name(relation)) -%}
    {%- endif -%}
    {%- set sql %}
      select
        h.start_time::timestamp(0)::text as name,
        case when h.status = 'FAILED' and row_number() over (order by h.refresh_id desc) = 1 then 'error' else 'ok' end as verdict,
        concat_ws(', ', h.action, lower(h.status), h.rows_inserted || ' in', h.rows_deleted || ' out', round(h.duration_ms) || ' ms', h.error_message) as detail
      from pgtrickle.get_refresh_history({{ dbt_pgtrickle.pgtrickle_literal(dbt_pgtrickle.pgtrickle_name(relation)) }}, {{ limit | int }}) as h
      order by h.refresh_id desc
    {%- endset -%}
    {%- do dbt_pgtrickle.pgtrickle_report('refreshes of ' ~ dbt_pgtrickle.pgtrickle_name(relation), run_query(sql).rows) -%}
  {%- endfor -%}
{% endmacro %}

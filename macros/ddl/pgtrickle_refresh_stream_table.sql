{#
  Refreshes a stream table now. While another session refreshes it, the engine returns without having done anything and
  without an error: that is one here. What tells is the history, since a top-k table keeps its last refresh time
  (docs/pg_trickle.md, Refresh and history). Within the transaction that pgtrickle_begin began, so that the time of the
  refresh is its own.
#}
{% macro pgtrickle_refresh_stream_table(relation) %}
  {%- set name = dbt_pgtrickle.pgtrickle_name(relation) -%}
  {%- do dbt_pgtrickle.pgtrickle_execute(dbt_pgtrickle.pgtrickle_call('refresh_stream_table', {'name': name})) -%}
  {%- set sql %}
    select 1
    from pgtrickle.pgt_stream_tables as st
    join pgtrickle.pgt_refresh_history as h on h.pgt_id = st.pgt_id and h.start_time >= now()
    where st.pgt_schema || '.' || st.pgt_name = {{ dbt_pgtrickle.pgtrickle_literal(name) }}
  {%- endset -%}
  {%- if execute and not dbt_pgtrickle.pgtrickle_first_column(sql) -%}
    {%- do exceptions.raise_compiler_error(name ~ ' was not refreshed: another refresh of it is under way') -%}
  {%- endif -%}
{% endmacro %}

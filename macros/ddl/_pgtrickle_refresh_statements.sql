{#
  The PL/pgSQL that refreshes a stream table now. While another session refreshes it, the engine returns without having done
  anything and without an error: that is one here. What tells is a new row of this transaction in the history, since a top-k
  table keeps its last refresh time (docs/pg_trickle.md, Refresh and history). One statement, so that the row and the question
  about it are in one transaction wherever it is called.
#}
{% macro _pgtrickle_refresh_statements(relation) %}
  {%- set name = dbt_pgtrickle._pgtrickle_name(relation) -%}
  {%- set newest %}
    select max(h.refresh_id)
    from pgtrickle.pgt_stream_tables as st
    join pgtrickle.pgt_refresh_history as h on h.pgt_id = st.pgt_id
    where st.pgt_schema || '.' || st.pgt_name = {{ dbt_pgtrickle._pgtrickle_literal(name) }}
  {%- endset -%}
  {%- set statements %}
  declare
    before constant bigint := coalesce(({{ newest }}), 0);
  begin
    perform {{ dbt_pgtrickle._pgtrickle_call('refresh_stream_table', {'name': name}) }};
    if coalesce(({{ newest }} and h.start_time = now()), 0) <= before then
      raise exception using errcode = 'lock_not_available',
        message = {{ dbt_pgtrickle._pgtrickle_literal(name ~ ' was not refreshed: another refresh of it is under way') }};
    end if;
  end;
  {%- endset -%}
  {{- return(statements) -}}
{% endmacro %}

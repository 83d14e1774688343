{#
  Refreshes a stream table now. While another session refreshes it, the engine returns without having done anything and
  without an error (docs/pg_trickle.md, Refresh and history): that is one here. Within the transaction that pgtrickle_begin
  began, so that the time of the refresh is its own.
#}
{% macro pgtrickle_refresh_stream_table(relation) %}
  {%- set name = dbt_pgtrickle.pgtrickle_name(relation) -%}
  {%- do dbt_pgtrickle.pgtrickle_execute(dbt_pgtrickle.pgtrickle_call('refresh_stream_table', {'name': name})) -%}
  {%- set sql %}
    select last_refresh_at >= now() from pgtrickle.pgt_stream_tables
    where pgt_schema || '.' || pgt_name = {{ dbt_pgtrickle.pgtrickle_literal(name) }}
  {%- endset -%}
  {%- if execute and not dbt_pgtrickle.pgtrickle_first_column(sql)[0] -%}
    {%- do exceptions.raise_compiler_error(name ~ ' was not refreshed: another refresh of it is under way') -%}
  {%- endif -%}
{% endmacro %}

{#
  Runs statements of PL/pgSQL. An error comes back with its own SQLSTATE, message and hint, and with a readable DETAIL: the
  engine's backtrace is gone, and the last line is `SQLSTATE: …`, because dbt's text of an error does not have it.

  On dbt v2 the block does not fail: it leaves the error in a setting, so that the transaction can be rolled back before the
  error is raised (see _pgtrickle_is_v2).
#}
{% macro _pgtrickle_execute_block(statements) %}
  {%- set is_v2 = dbt_pgtrickle._pgtrickle_is_v2() -%}
  {%- set body %}
declare
  state text; message text; detail text; hint text;
begin
  {%- if is_v2 %}
  perform pg_catalog.set_config('dbt_pgtrickle.error', '', false);
  begin
  {%- endif %}
  {{ dbt_pgtrickle._pgtrickle_without_policies(statements) }}
exception when others then
  get stacked diagnostics state = returned_sqlstate, message = message_text,
    detail = pg_exception_detail, hint = pg_exception_hint;
  -- docs/pg_trickle.md, Creation and population
  if state = '23505' and message like '%\_\_pgt\_row\_id\_%' then
    hint := 'The query gives a primary key, but not as its first column: put it first.';
  end if;
  -- A backtrace begins on the second line.
  detail := concat_ws(chr(10), nullif(split_part(detail, chr(10), 1), ''), 'SQLSTATE: ' || state);
  {%- if is_v2 %}
    perform pg_catalog.set_config(
      'dbt_pgtrickle.error', concat_ws(chr(10), message, 'DETAIL: ' || detail, 'HINT: ' || nullif(hint, '')), false
    );
  end;
  {%- else %}
  if hint = '' then
    raise exception using errcode = state, message = message, detail = detail;
  end if;
  raise exception using errcode = state, message = message, detail = detail, hint = hint;
  {%- endif %}
end
  {%- endset -%}
  {%- call statement('_pgtrickle_execute', auto_begin=false) -%}
    do {{ dbt_pgtrickle._pgtrickle_literal(body) }}
  {%- endcall -%}
  {%- if is_v2 -%}
    {%- set error = dbt_pgtrickle._pgtrickle_first_column("select pg_catalog.current_setting('dbt_pgtrickle.error', true)") -%}
    {%- if error and error[0] -%}
      {%- do dbt_pgtrickle._pgtrickle_raise(error[0]) -%}
    {%- endif -%}
  {%- endif -%}
{% endmacro %}

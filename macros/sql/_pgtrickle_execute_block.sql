{#
  Runs statements of PL/pgSQL. An error comes back with its own SQLSTATE, message and hint, and with a DETAIL that
  is fit to be read: the engine's backtrace is gone, and the last line is `SQLSTATE: …`, because dbt's text of an error
  does not have it and whoever reads dbt's output has no other way to know.
#}
{% macro _pgtrickle_execute_block(statements) %}
  {%- set body %}
declare
  state text; message text; detail text; hint text;
begin
  {{ statements }}
exception when others then
  get stacked diagnostics state = returned_sqlstate, message = message_text,
    detail = pg_exception_detail, hint = pg_exception_hint;
  -- docs/pg_trickle.md, Creation and population
  if state = '23505' and message like '%\_\_pgt\_row\_id\_%' then
    hint := 'The query gives a primary key, but not as its first column: put it first.';
  end if;
  -- A backtrace begins on the second line.
  detail := concat_ws(chr(10), nullif(split_part(detail, chr(10), 1), ''), 'SQLSTATE: ' || state);
  if hint = '' then
    raise exception using errcode = state, message = message, detail = detail;
  end if;
  raise exception using errcode = state, message = message, detail = detail, hint = hint;
end
  {%- endset -%}
  {%- call statement('_pgtrickle_execute', auto_begin=false) -%}
    do {{ dbt_pgtrickle._pgtrickle_literal(body) }}
  {%- endcall -%}
{% endmacro %}

{#
  Leaves on the stream table who made it, so that what drops tables can tell ours from others'. It is the comment of the
  trigger by which the engine refuses DML: each stream table has it, and an altered query keeps it while it may replace the
  index (docs/pg_trickle.md, Storage table). A mark of an earlier version, on the column __pgt_row_id, is removed; any other
  comment there is the user's. Without the trigger the mark goes where earlier versions wrote it.
#}
{% macro _pgtrickle_write_mark(relation, mark) %}
  {%- set body %}
declare
  storage constant regclass := {{ dbt_pgtrickle._pgtrickle_literal(relation.include(database=false) | string) }};
  mark constant text := {{ dbt_pgtrickle._pgtrickle_literal(tojson(mark)) }};
  has_old_mark constant boolean := exists (
    select from pg_attribute as a
    where a.attrelid = storage and a.attname = '__pgt_row_id'
      and {{ dbt_pgtrickle._pgtrickle_mark_in('col_description(a.attrelid, a.attnum)') }} is not null
  );
begin
  if not exists (select from pg_trigger where tgrelid = storage and tgname = 'pgt_dml_guard') then
    execute format('comment on column %s.__pgt_row_id is %L', storage, mark);
    return;
  end if;
  execute format('comment on trigger pgt_dml_guard on %s is %L', storage, mark);
  if has_old_mark then
    execute format('comment on column %s.__pgt_row_id is null', storage);
  end if;
end
  {%- endset -%}
  {%- do dbt_pgtrickle._pgtrickle_ddl('_pgtrickle_write_mark', 'do ' ~ dbt_pgtrickle._pgtrickle_literal(body)) -%}
{% endmacro %}

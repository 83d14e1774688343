{#
  Alters the views that read a replaced one, so that the engine notices. It only tracks the view in the query of a stream
  table, and refills the table after that is altered; it does not notice a change of a view below, and the table would keep
  its old rows (docs/pg_trickle.md, Source DDL).
#}
{% macro _pgtrickle_touch_views(view) %}
  {%- set body %}
declare
  above record;
begin
  if to_regclass('pgtrickle.pgt_dependencies') is null then
    return;
  end if;
  for above in
    with recursive reads as (
      select r.ev_class as reader, d.refobjid as source
      from pg_depend as d
      join pg_rewrite as r on r.oid = d.objid
      where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and r.ev_class <> d.refobjid
    ),
    found as (
      select reader from reads where source = {{ dbt_pgtrickle._pgtrickle_literal(view.include(database=false) | string) }}::regclass
      union
      select reads.reader from found join reads on reads.source = found.reader
    )
    select c.oid::regclass as name, pg_get_userbyid(c.relowner) as owner
    from found
    join pg_class as c on c.oid = found.reader and c.relkind = 'v'
    where exists (select from pgtrickle.pgt_dependencies as d where d.source_relid = c.oid)
  loop
    execute format('alter view %s owner to %I', above.name, above.owner);
  end loop;
end
  {%- endset -%}
  {%- do dbt_pgtrickle._pgtrickle_ddl('_pgtrickle_touch_views', 'do ' ~ dbt_pgtrickle._pgtrickle_literal(body)) -%}
{% endmacro %}

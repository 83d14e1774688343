-- Sets the sequences of columns of these tables to the value of the last row.
do $do$
declare
  one record;
begin
  for one in
    select distinct s.oid::regclass as sequence, c.oid::regclass as source, a.attname, q.seqmin, q.seqmax
    from unnest(array[$tables]::text[]) as wanted (name)
    join pg_catalog.pg_class as c on c.oid = pg_catalog.to_regclass(wanted.name)
    join pg_catalog.pg_attribute as a on a.attrelid = c.oid and not a.attisdropped
      and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
    left join pg_catalog.pg_attrdef as f on f.adrelid = c.oid and f.adnum = a.attnum
    join pg_catalog.pg_depend as d
      -- A sequence that the column owns, or that its default uses.
      on d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
        and d.refobjid = c.oid and d.refobjsubid = a.attnum and d.deptype in ('a', 'i')
      or d.classid = 'pg_catalog.pg_attrdef'::regclass and d.objid = f.oid
        and d.refclassid = 'pg_catalog.pg_class'::regclass
    join pg_catalog.pg_class as s
      on s.relkind = 'S' and s.oid = case when d.objid = f.oid then d.refobjid else d.objid end
    join pg_catalog.pg_sequence as q on q.seqrelid = s.oid and q.seqincrement > 0
  loop
    execute format(
      'select pg_catalog.setval(%L, max(%I)) from %s having max(%I) between %s and %s',
      one.sequence, one.attname, one.source, one.attname, one.seqmin, one.seqmax
    );
  end loop;
end
$do$

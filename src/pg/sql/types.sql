-- The types of the columns of sources, and the types that those consist of.
with recursive reached (oid) as (
  select a.atttypid
  from pg_attribute as a
  where a.attrelid in (select source_relid from pgtrickle.pgt_dependencies where source_type <> 'STREAM_TABLE')
    and a.attnum > 0 and not a.attisdropped
  union
  select part.oid from reached join parts as part on part.type = reached.oid
), parts (type, nth, oid, typmod) as (
  select oid, 1, typbasetype, typtypmod from pg_type where typtype = 'd'
  union all
  -- oidvector and int2vector have elements, but not the syntax of arrays
  select t.oid, 1, t.typelem, -1 from pg_type as t join pg_type as e on e.oid = t.typelem and e.typarray = t.oid
  union all
  select rngtypid, 1, rngsubtype, -1 from pg_range
  union all
  select rngmultitypid, 1, rngtypid, -1 from pg_range
  union all
  select t.oid, a.attnum, a.atttypid, a.atttypmod
  from pg_type as t join pg_attribute as a on a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
  where t.typtype = 'c'
)
select coalesce(jsonb_object_agg(t.oid::bigint, jsonb_build_object(
  'name', case when t.typnamespace = 'pg_catalog'::regnamespace then t.typname else '' end,
  'shape', case
    when t.typtype = 'b' and exists (select from pg_type as e where e.oid = t.typelem and e.typarray = t.oid) then 'array'
    else (jsonb_build_object('b', 'base', 'c', 'composite', 'd', 'domain', 'e', 'enum', 'r', 'range', 'm', 'multirange') ->> t.typtype::text)
  end,
  'parts', (
    select coalesce(jsonb_agg(jsonb_build_object('oid', p.oid::bigint, 'typmod', p.typmod) order by p.nth), '[]')
    from parts as p where p.type = t.oid
  ),
  'labels', (
    select coalesce(jsonb_agg(e.enumlabel order by e.enumsortorder), '[]') from pg_enum as e where e.enumtypid = t.oid
  ),
  'delimiter', coalesce((select e.typdelim from pg_type as e where e.oid = t.typelem and e.typarray = t.oid), ','),
  'conditions', (
    select coalesce(jsonb_agg(pg_get_constraintdef(k.oid) order by k.conname), '[]')
    from pg_constraint as k where k.contypid = t.oid
  )
)), '{}')::text
from pg_type as t
where t.oid in (select oid from reached)

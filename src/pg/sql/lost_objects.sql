-- The objects that PostgreSQL drops together with these stream tables, besides their own parts, and the parts of their views
-- that are not restored; a phrase each. `view` is set for views, some of which are restored. Follows pg_depend as DROP ...
-- CASCADE does: objects that depend on a dropped one are dropped, and the object of which it is an internal part. With this
-- search_path every name has its schema.
set local search_path = '';
with recursive wanted as (
  select c.oid as storage, c.oid
  from jsonb_to_recordset($relations) as w (schema text, name text)
  join pg_catalog.pg_namespace as n on n.nspname = w.schema
  join pg_catalog.pg_class as c on c.relnamespace = n.oid and c.relname = w.name
),
gone (storage, classid, objid, objsubid) as (
  select storage, 'pg_catalog.pg_class'::regclass::oid, oid, 0 from wanted
  union
  select gone.storage, next.classid, next.objid, next.objsubid
  from gone
  cross join lateral (
    select d.classid, d.objid, d.objsubid
    from pg_catalog.pg_depend as d
    where d.refclassid = gone.classid and d.refobjid = gone.objid and gone.objsubid in (0, d.refobjsubid)
    union all
    select d.refclassid, d.refobjid, d.refobjsubid
    from pg_catalog.pg_depend as d
    where d.classid = gone.classid and d.objid = gone.objid and d.objsubid = gone.objsubid and d.deptype = 'i'
  ) as next
),
-- The relations whose parts are restored, or reported elsewhere.
own as (
  select gone.storage, c.oid, c.relkind, c.relkind in ('v', 'm') as is_view
  from gone
  join pg_catalog.pg_class as c on gone.classid = 'pg_catalog.pg_class'::regclass and gone.objid = c.oid and gone.objsubid = 0
  where c.oid in (select oid from wanted) or c.relispartition or c.relkind in ('v', 'm', 't')
),
-- The relation that an object is a part of.
part as (
  select gone.*, coalesce(i.indrelid, r.ev_class, f.adrelid, g.tgrelid, k.conrelid) as relid,
    r.rulename, g.tgname, g.tgisinternal, k.contype, k.conkey, t.typtype, t.typcategory
  from gone
  left join pg_catalog.pg_index as i on gone.classid = 'pg_catalog.pg_class'::regclass and gone.objid = i.indexrelid
  left join pg_catalog.pg_rewrite as r on gone.classid = 'pg_catalog.pg_rewrite'::regclass and gone.objid = r.oid
  left join pg_catalog.pg_attrdef as f on gone.classid = 'pg_catalog.pg_attrdef'::regclass and gone.objid = f.oid
  left join pg_catalog.pg_trigger as g on gone.classid = 'pg_catalog.pg_trigger'::regclass and gone.objid = g.oid
  left join pg_catalog.pg_constraint as k on gone.classid = 'pg_catalog.pg_constraint'::regclass and gone.objid = k.oid
  left join pg_catalog.pg_type as t on gone.classid = 'pg_catalog.pg_type'::regclass and gone.objid = t.oid
),
lost as (
  select part.storage, pg_catalog.pg_describe_object(classid, objid, objsubid) as what, null::oid as view
  from part
  left join own on own.storage = part.storage and own.oid = part.relid
  where not (classid = 'pg_catalog.pg_class'::regclass and objid in (select oid from own))
    and classid <> 'pg_catalog.pg_publication_rel'::regclass
    -- Row types and their array types.
    and coalesce(typtype <> 'c' and typcategory <> 'A', true)
    and coalesce(rulename <> '_RETURN', true)
    and not coalesce(tgisinternal or contype = 'n', false)
    and not (own.oid is not null and (
      own.is_view
      or own.relkind = 't'
      or classid in ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_attrdef'::regclass)
      or coalesce(tgname like 'pgt\_%', false)
      or coalesce((select a.attname = '__pgt_row_id' from pg_catalog.pg_attribute as a where a.attrelid = own.oid and a.attnum = conkey[1]), false)
    ))
  union
  select own.storage, pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, oid, 0), oid from own where is_view
  union
  select own.storage, 'the row-level security of ' || pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, c.oid, 0), null
  from own
  join pg_catalog.pg_class as c on c.oid = own.oid
  where c.relrowsecurity
  union
  select own.storage, 'the security label of ' || pg_catalog.pg_describe_object(l.classoid, l.objoid, l.objsubid), null
  from own
  join pg_catalog.pg_seclabel as l on l.classoid = 'pg_catalog.pg_class'::regclass and l.objoid = own.oid
  union
  select own.storage, 'the tablespace of ' || pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, c.oid, 0), null
  from own
  join pg_catalog.pg_class as c on c.oid = own.oid
  where c.reltablespace <> 0 and own.is_view
)
select coalesce(jsonb_agg(jsonb_build_object(
  'table', jsonb_build_object('schema', sn.nspname, 'name', s.relname),
  'what', lost.what,
  'view', case when v.oid is not null then jsonb_build_object('schema', vn.nspname, 'name', v.relname) end
) order by sn.nspname, s.relname, lost.what), '[]')::text
from lost
join pg_catalog.pg_class as s on s.oid = lost.storage
join pg_catalog.pg_namespace as sn on sn.oid = s.relnamespace
left join pg_catalog.pg_class as v on v.oid = lost.view
left join pg_catalog.pg_namespace as vn on vn.oid = v.relnamespace

-- What these relations are or, as views, read, if Citus distributes it, policies protect its rows, or it has partitions or
-- no triggers.
with recursive read (root, oid) as (
  select jsonb_build_object('schema', n.nspname, 'name', c.relname), c.oid
  from jsonb_to_recordset($relations) as wanted (schema text, name text)
  join pg_catalog.pg_namespace as n on n.nspname = wanted.schema
  join pg_catalog.pg_class as c on c.relnamespace = n.oid and c.relname = wanted.name
  union
  select read.root, d.refobjid
  from read
  join pg_catalog.pg_class as v on v.oid = read.oid and v.relkind = 'v'
  join pg_catalog.pg_rewrite as w on w.ev_class = read.oid and w.rulename = '_RETURN'
  join pg_catalog.pg_depend as d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid
    and d.refclassid = 'pg_catalog.pg_class'::regclass
)
select coalesce(jsonb_agg(to_jsonb(special) order by special.read_as::text, special.relation::text), '[]')::text
from (
  select
    read.root as read_as,
    jsonb_build_object('schema', n.nspname, 'name', r.relname) as relation,
    $citus as citus,
    r.relrowsecurity as has_row_security,
    r.relkind = 'p' as is_partitioned,
    case r.relkind when 'm' then 'materialized view' when 'f' then 'foreign table' end as snapshot,
    coalesce(pg_catalog.current_setting('pg_trickle.matview_polling', true), '') in ('on', 'true') as polls_views
  from read
  join pg_catalog.pg_class as r on r.oid = read.oid and r.relkind in ('r', 'p', 'm', 'f')
  join pg_catalog.pg_namespace as n on n.oid = r.relnamespace
) as special
where special.citus is not null or special.has_row_security or special.is_partitioned or special.snapshot is not null

-- What the views of each stream table's query read, directly or through other views, and pg_trickle does not list as a source.
with recursive below (pgt_id, view, oid) as (
  select d.pgt_id, c.oid, c.oid
  from pgtrickle.pgt_dependencies as d
  join pg_catalog.pg_class as c on c.oid = d.source_relid and c.relkind = 'v'
  union
  select below.pgt_id, below.view, r.oid
  from below
  join pg_catalog.pg_class as c on c.oid = below.oid and c.relkind = 'v'
  join pg_catalog.pg_rewrite as w on w.ev_class = c.oid and w.rulename = '_RETURN'
  join pg_catalog.pg_depend as d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid
    and d.refclassid = 'pg_catalog.pg_class'::regclass
  join pg_catalog.pg_class as r on r.oid = d.refobjid and r.relkind in ('r', 'p', 'v', 'm', 'f') and r.oid >= 16384
  join pg_catalog.pg_namespace as n on n.oid = r.relnamespace and n.nspname not in ('pgtrickle', 'pgtrickle_changes')
)
select coalesce(jsonb_agg(jsonb_build_object(
  'reader', jsonb_build_object('schema', s.pgt_schema, 'name', s.pgt_name),
  'view', jsonb_build_object('schema', vn.nspname, 'name', v.relname),
  'table', jsonb_build_object('schema', tn.nspname, 'name', t.relname)
) order by s.pgt_id, v.oid, t.oid), '[]')::text
from below
join pgtrickle.pgt_stream_tables as s on s.pgt_id = below.pgt_id
join pg_catalog.pg_class as v on v.oid = below.view
join pg_catalog.pg_namespace as vn on vn.oid = v.relnamespace
join pg_catalog.pg_class as t on t.oid = below.oid and t.relkind <> 'v'
join pg_catalog.pg_namespace as tn on tn.oid = t.relnamespace
where not exists (
  select from pgtrickle.pgt_dependencies as known where known.pgt_id = below.pgt_id and known.source_relid = t.oid
)

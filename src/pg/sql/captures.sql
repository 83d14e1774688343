-- How the changes of every source table are captured. IMMEDIATE tables are maintained by triggers of their own.
select coalesce(jsonb_agg(to_jsonb(c) order by c.source), '[]')::text
from (
  select
    coalesce(n.nspname || '.' || r.relname, d.source_relid::text) as source,
    r.oid is not null as source_exists,
    jsonb_agg(distinct s.pgt_schema || '.' || s.pgt_name) as readers,
    max(d.cdc_mode) as cdc_mode,
    t.source_stable_name as stable_name,
    (
      select coalesce(jsonb_agg(jsonb_build_object('name', g.tgname, 'enabled', g.tgenabled in ('O', 'A'))), '[]')
      from pg_catalog.pg_trigger as g
      where g.tgrelid = d.source_relid and not g.tgisinternal and g.tgname like 'pg\_trickle\_cdc\_%'
    ) as triggers,
    pg_catalog.to_regclass('pgtrickle_changes.changes_' || t.source_stable_name) is not null as buffer_exists,
    string_agg(distinct h.alert, '; ') as alert
  from pgtrickle.pgt_dependencies as d
  join pgtrickle.pgt_stream_tables as s on s.pgt_id = d.pgt_id and s.refresh_mode <> 'IMMEDIATE'
  left join pg_catalog.pg_class as r on r.oid = d.source_relid
  left join pg_catalog.pg_namespace as n on n.oid = r.relnamespace
  left join pgtrickle.pgt_change_tracking as t on t.source_relid = d.source_relid
  left join pgtrickle.check_cdc_health() as h on h.source_relid = d.source_relid::bigint
  where d.source_type = 'TABLE'
  group by d.source_relid, r.oid, n.nspname, r.relname, t.source_stable_name
) as c

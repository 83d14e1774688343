-- The stream tables whose rows can currently be read: populated, and not locked against readers.
select coalesce(jsonb_agg(jsonb_build_object('schema', s.pgt_schema, 'name', s.pgt_name)), '[]')::text
from pgtrickle.pgt_stream_tables as s
where s.is_populated and not exists (
  select from pg_catalog.pg_locks as l
  join pg_catalog.pg_database as d on d.oid = l.database and d.datname = pg_catalog.current_database()
  where l.relation = s.pgt_relid and l.mode = 'AccessExclusiveLock' and l.granted
)

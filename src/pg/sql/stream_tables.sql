-- Every stream table: the whole catalog row as JSON, so that a column which this version lacks is a missing key,
-- with what has to be looked up beside it.
select coalesce(jsonb_agg(
  to_jsonb(s) || jsonb_build_object(
    'last_refresh_at', extract(epoch from s.last_refresh_at),
    'storage_exists', exists (
      select from pg_catalog.pg_class as c
      join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
      where c.oid = s.pgt_relid and n.nspname = s.pgt_schema and c.relname = s.pgt_name
    ),
    'mark', (
      select pg_catalog.col_description(a.attrelid, a.attnum)
      from pg_catalog.pg_attribute as a
      where a.attrelid = s.pgt_relid and a.attname = '__pgt_row_id'
    ),
    'stored_columns', (
      select coalesce(jsonb_agg(a.attname order by a.attnum), '[]')
      from pg_catalog.pg_attribute as a
      where a.attrelid = s.pgt_relid and a.attnum > 0 and not a.attisdropped and a.attname <> '__pgt_row_id'
    ),
    'upstream', (
      select coalesce(jsonb_agg(jsonb_build_object('schema', u.pgt_schema, 'name', u.pgt_name) order by u.pgt_schema, u.pgt_name), '[]')
      from pgtrickle.pgt_dependencies as d
      join pgtrickle.pgt_stream_tables as u on u.pgt_relid = d.source_relid
      where d.pgt_id = s.pgt_id
    )
  )
  order by s.pgt_schema, s.pgt_name
), '[]')::text
from pgtrickle.pgt_stream_tables as s

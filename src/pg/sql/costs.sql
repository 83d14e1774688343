-- The size of these stream tables and the duration of their last full refreshes. A refresh by hand has the same start and
-- end time in the history, so it does not count.
select coalesce(jsonb_agg(jsonb_build_object(
  'schema', wanted.schema,
  'name', wanted.name,
  'bytes', greatest(
    pg_catalog.pg_total_relation_size(s.pgt_relid),
    (select sum(pg_catalog.pg_total_relation_size(relid))::bigint from pg_catalog.pg_partition_tree(s.pgt_relid))
  ),
  'full_ms', coalesce(
    (
      select avg(took) from (
        select coalesce(
          (to_jsonb(h) ->> 'duration_ms')::float8,
          extract(epoch from h.end_time - h.start_time)::float8 * 1000
        ) as took
        from pgtrickle.pgt_refresh_history as h
        where h.pgt_id = s.pgt_id and h.status = 'COMPLETED' and h.action in ('FULL', 'REINITIALIZE')
          and h.end_time > h.start_time
        order by h.start_time desc limit 5
      ) as full_refreshes
    ),
    (to_jsonb(s) ->> 'last_full_ms')::float8
  )
)), '[]')::text
from jsonb_to_recordset($relations) as wanted (schema text, name text)
join pgtrickle.pgt_stream_tables as s on s.pgt_schema = wanted.schema and s.pgt_name = wanted.name

-- The progress of each stream table. A small query, because it is polled.
select coalesce(jsonb_agg(jsonb_build_object(
  'schema', pgt_schema,
  'name', pgt_name,
  'status', status,
  'is_populated', is_populated,
  'last_error_message', case when status = 'ERROR' then left(last_error_message, 4000) end
)), '[]')::text
from pgtrickle.pgt_stream_tables

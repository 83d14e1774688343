-- The newest refresh of the history, and how often since a refresh the scheduler has changed one of these tables.
select jsonb_build_object(
  'newest', coalesce(max(h.refresh_id), 0),
  'scheduled', count(*) filter (
    where h.refresh_id > $newest and h.initiated_by = 'SCHEDULER' and h.action <> 'NO_DATA'
      and jsonb_build_object('schema', s.pgt_schema, 'name', s.pgt_name) in (
        select jsonb_array_elements($relations)
      )
  )
)::text
from pgtrickle.pgt_refresh_history as h join pgtrickle.pgt_stream_tables as s using (pgt_id)

-- The last $last refreshes of one stream table, the newest first. Refreshes in a row that changed nothing are one entry with
-- their number: one of a table that reads stream tables is DIFFERENTIAL then, too.
with refreshes as materialized (
  select
    h.refresh_id, h.action, h.status, h.initiated_by, h.start_time, h.rows_inserted, h.rows_deleted, h.error_message,
    updated, is_idle,
    count(*) filter (where not is_idle) over (order by h.start_time desc, h.refresh_id desc) as nth,
    coalesce(
      (to_jsonb(h) ->> 'duration_ms')::float8,
      -- Some versions write the same time as start and end: then the duration is unknown.
      case when h.end_time > h.start_time then extract(epoch from h.end_time - h.start_time)::float8 * 1000 end
    ) as took_ms,
    -- In versions that keep it.
    nullif(concat_ws(': ', to_jsonb(h) ->> 'refresh_reason', to_jsonb(h) ->> 'refresh_reason_detail'), '') as reason
  from jsonb_to_recordset($relations) as wanted (schema text, name text)
  join pgtrickle.pgt_stream_tables as s on s.pgt_schema = wanted.schema and s.pgt_name = wanted.name
  join pgtrickle.pgt_refresh_history as h on h.pgt_id = s.pgt_id
  -- Versions without the number count an update as a deletion and an insertion.
  cross join lateral (select coalesce((to_jsonb(h) ->> 'rows_updated')::bigint, 0) as updated) as u
  cross join lateral (
    select h.action in ('NO_DATA', 'DIFFERENTIAL') and h.status = 'COMPLETED'
      and coalesce(h.rows_inserted, 0) = 0 and coalesce(h.rows_deleted, 0) = 0 and updated = 0 as is_idle
  ) as i
)
select jsonb_build_object(
  'now', extract(epoch from pg_catalog.clock_timestamp()),
  'refreshes', (
    select coalesce(jsonb_agg(to_jsonb(e) - 'newest' order by e.started_at desc, e.newest desc), '[]')
    from (
      select
        max(refresh_id) as newest,
        string_agg(distinct action, ', ') as action,
        bool_or(is_idle) as is_idle,
        max(status) as status,
        case when min(initiated_by) = max(initiated_by) then max(initiated_by) end as initiated_by,
        count(*) as count,
        extract(epoch from max(start_time)) as started_at,
        avg(took_ms) as took_ms,
        coalesce(sum(rows_inserted), 0)::bigint as rows_inserted,
        coalesce(sum(updated), 0)::bigint as rows_updated,
        coalesce(sum(rows_deleted), 0)::bigint as rows_deleted,
        max(error_message) as error,
        max(reason) as reason
      from refreshes
      where nth < $last or nth = $last and not is_idle
      group by case when is_idle then -nth else refresh_id end
    ) as e
  )
)::text

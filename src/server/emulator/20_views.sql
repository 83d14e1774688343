-- 20_views: the monitoring views.

-- The age at which a table counts as stale; NULL if it is not defined (cron, calculated).
-- docs/pg_trickle.md, "Freshness"
CREATE FUNCTION pgtrickle._is_stale(schedule text, last_refresh_at timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT extract(epoch FROM now() - last_refresh_at) > pgtrickle.parse_duration_seconds(schedule)
$$;

-- docs/pg_trickle.md, "Freshness"
CREATE VIEW pgtrickle.stream_tables_info AS
SELECT s.*,
       now() - s.last_refresh_at AS staleness,
       pgtrickle._is_stale(s.schedule, s.last_refresh_at) AS stale,
       s.topk_limit IS NOT NULL AS is_topk
  FROM pgtrickle.pgt_stream_tables s;

-- docs/pg_trickle.md, "Health views"
CREATE VIEW pgtrickle.pg_stat_stream_tables AS
SELECT s.pgt_id, s.pgt_schema, s.pgt_name, s.status, s.refresh_mode, s.is_populated, s.data_timestamp, s.schedule,
       now() - s.last_refresh_at AS staleness,
       pgtrickle._is_stale(s.schedule, s.last_refresh_at) AS stale,
       s.consecutive_errors, s.needs_reinit, s.last_refresh_at,
       h.total_refreshes, h.successful_refreshes, h.failed_refreshes, h.total_rows_inserted, h.total_rows_deleted,
       h.avg_duration_ms, latest.action AS last_action, latest.status AS last_status,
       (SELECT array_agg(DISTINCT d.cdc_mode ORDER BY d.cdc_mode)
          FROM pgtrickle.pgt_dependencies d WHERE d.pgt_id = s.pgt_id AND d.source_type = 'TABLE') AS cdc_modes,
       s.scc_id, s.last_fixpoint_iterations, s.refresh_tier
  FROM pgtrickle.pgt_stream_tables s
 CROSS JOIN LATERAL (
       SELECT count(*) AS total_refreshes,
              count(*) FILTER (WHERE status = 'COMPLETED') AS successful_refreshes,
              count(*) FILTER (WHERE status = 'FAILED') AS failed_refreshes,
              coalesce(sum(rows_inserted), 0)::bigint AS total_rows_inserted,
              coalesce(sum(rows_deleted), 0)::bigint AS total_rows_deleted,
              (avg(extract(epoch FROM end_time - start_time)) * 1000)::float8 AS avg_duration_ms
         FROM pgtrickle.pgt_refresh_history WHERE pgt_id = s.pgt_id) h
  LEFT JOIN LATERAL (
       SELECT action, status FROM pgtrickle.pgt_refresh_history
        WHERE pgt_id = s.pgt_id ORDER BY refresh_id DESC LIMIT 1) latest ON true;

-- docs/pg_trickle.md, "Capture health"
CREATE VIEW pgtrickle.pgt_cdc_status AS
SELECT s.pgt_schema, s.pgt_name, d.source_relid, c.relname AS source_name, n.nspname AS source_schema,
       d.cdc_mode, d.slot_name, d.decoder_confirmed_lsn, d.transition_started_at
  FROM pgtrickle.pgt_dependencies d
  JOIN pgtrickle.pgt_stream_tables s USING (pgt_id)
  JOIN pg_catalog.pg_class c ON c.oid = d.source_relid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE d.source_type = 'TABLE';

-- A tick holds this advisory lock while it runs.
CREATE FUNCTION pgtrickle._tick_is_under_way() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM pg_catalog.pg_locks
                    WHERE locktype = 'advisory' AND classid = 'pgtrickle._emulator_scheduler'::regclass
                      AND objid = 0 AND objsubid = 2
                      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
$$;

-- The scheduler is alive if it ticked recently, or if a tick is running: a long refresh must not look like a dead
-- scheduler.
-- docs/pg_trickle.md, "Health views"
CREATE FUNCTION pgtrickle._scheduler_is_running() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT max(beat_at) > clock_timestamp() - interval '10 seconds' FROM pgtrickle._emulator_scheduler), false)
        OR pgtrickle._tick_is_under_way()
$$;

-- docs/pg_trickle.md, "Health views"
CREATE VIEW pgtrickle.quick_health AS
SELECT total_stream_tables, error_tables, stale_tables,
       pgtrickle._scheduler_is_running() AS scheduler_running,
       CASE WHEN total_stream_tables = 0 THEN 'EMPTY'
            WHEN suspended > 0 THEN 'CRITICAL'
            WHEN error_tables > 0 OR stale_tables > 0 THEN 'WARNING'
            ELSE 'OK' END AS status
  FROM (SELECT count(*) AS total_stream_tables,
               count(*) FILTER (WHERE status = 'ERROR' OR consecutive_errors > 0) AS error_tables,
               count(*) FILTER (WHERE pgtrickle._is_stale(schedule, last_refresh_at)) AS stale_tables,
               count(*) FILTER (WHERE status = 'SUSPENDED') AS suspended
          FROM pgtrickle.pgt_stream_tables) counts;

-- 90_monitoring: the monitoring functions.

-- docs/pg_trickle.md, "Health views"
CREATE FUNCTION pgtrickle.pgt_status()
RETURNS TABLE (name text, status text, refresh_mode text, is_populated boolean, consecutive_errors integer, schedule text,
               data_timestamp timestamptz, staleness interval, scc_id integer)
LANGUAGE sql STRICT AS $$
    SELECT pgtrickle._name(s), s.status, s.refresh_mode, s.is_populated, s.consecutive_errors, s.schedule,
           s.data_timestamp, now() - s.data_timestamp, s.scc_id
      FROM pgtrickle.pgt_stream_tables s ORDER BY 1
$$;

-- docs/pg_trickle.md, "Freshness"
CREATE FUNCTION pgtrickle.get_staleness(name text) RETURNS float8 LANGUAGE sql STRICT AS $$
    SELECT extract(epoch FROM now() - (pgtrickle._lookup(name)).data_timestamp)::float8
$$;

-- docs/pg_trickle.md, "Refresh and history"
CREATE FUNCTION pgtrickle.get_refresh_history(name text, max_rows integer DEFAULT 20)
RETURNS TABLE (refresh_id bigint, data_timestamp timestamptz, start_time timestamptz, end_time timestamptz, action text,
               status text, rows_inserted bigint, rows_deleted bigint, duration_ms float8, error_message text)
LANGUAGE sql STRICT AS $$
    SELECT h.refresh_id, h.data_timestamp, h.start_time, h.end_time, h.action, h.status, h.rows_inserted, h.rows_deleted,
           (extract(epoch FROM h.end_time - h.start_time) * 1000)::float8, h.error_message
      FROM pgtrickle.pgt_refresh_history h
     WHERE h.pgt_id = (pgtrickle._lookup(name)).pgt_id
     ORDER BY h.refresh_id DESC LIMIT max_rows
$$;

-- docs/pg_trickle.md, "Refresh and history"
CREATE FUNCTION pgtrickle.refresh_timeline(max_rows integer DEFAULT 50)
RETURNS TABLE (start_time timestamptz, stream_table text, action text, status text, rows_inserted bigint, rows_deleted bigint,
               duration_ms float8, error_message text)
LANGUAGE sql STRICT AS $$
    SELECT h.start_time, pgtrickle._name(s), h.action, h.status, h.rows_inserted, h.rows_deleted,
           (extract(epoch FROM h.end_time - h.start_time) * 1000)::float8, h.error_message
      FROM pgtrickle.pgt_refresh_history h JOIN pgtrickle.pgt_stream_tables s USING (pgt_id)
     ORDER BY h.refresh_id DESC LIMIT max_rows
$$;

-- docs/pg_trickle.md, "Health views"
CREATE FUNCTION pgtrickle.st_refresh_stats()
RETURNS TABLE (pgt_name text, pgt_schema text, status text, refresh_mode text, is_populated boolean, total_refreshes bigint,
               successful_refreshes bigint, failed_refreshes bigint, total_rows_inserted bigint, total_rows_deleted bigint,
               avg_duration_ms float8, last_refresh_action text, last_refresh_status text, last_refresh_at timestamptz,
               staleness_secs float8, stale boolean, consecutive_errors integer, schedule text, refresh_tier text,
               last_error_message text, downstream_publication text)
LANGUAGE sql STRICT AS $$
    SELECT v.pgt_name, v.pgt_schema, v.status, v.refresh_mode, v.is_populated, v.total_refreshes, v.successful_refreshes,
           v.failed_refreshes, v.total_rows_inserted, v.total_rows_deleted, coalesce(v.avg_duration_ms, 0), v.last_action,
           v.last_status, v.last_refresh_at, extract(epoch FROM now() - v.data_timestamp)::float8, coalesce(v.stale, false),
           v.consecutive_errors, v.schedule, v.refresh_tier, s.last_error_message, s.downstream_publication_name
      FROM pgtrickle.pg_stat_stream_tables v JOIN pgtrickle.pgt_stream_tables s USING (pgt_id)
     ORDER BY v.pgt_schema, v.pgt_name
$$;

-- The emulator has no replication slots, so there is never an alert. A disabled trigger is not detected, as in
-- pg_trickle.
-- docs/pg_trickle.md, "Capture health"
CREATE FUNCTION pgtrickle.check_cdc_health()
RETURNS TABLE (source_relid bigint, source_table text, cdc_mode text, slot_name text, lag_bytes bigint, confirmed_lsn text,
               alert text, selective_capture boolean)
LANGUAGE sql STRICT AS $$
    SELECT source::bigint, coalesce(to_regclass(source::regclass::text)::text, source::text), 'TRIGGER', NULL::text, NULL::bigint, NULL::text, NULL::text,
           coalesce((SELECT count(*) FROM pg_catalog.pg_attribute WHERE attrelid = source AND attnum > 0 AND NOT attisdropped)
                    > cardinality(pgtrickle._captured_columns(source)), false)
      FROM (SELECT DISTINCT d.source_relid FROM pgtrickle.pgt_dependencies d WHERE d.source_type = 'TABLE') AS sources (source)
     ORDER BY 1
$$;

-- docs/pg_trickle.md, "Capture health"
CREATE FUNCTION pgtrickle.change_buffer_sizes()
RETURNS TABLE (stream_table text, source_table text, source_oid bigint, cdc_mode text, pending_rows bigint, buffer_bytes bigint)
LANGUAGE sql STRICT AS $$
    SELECT pgtrickle._name(s), pgtrickle._relation_name(d.source_relid), d.source_relid::bigint, d.cdc_mode,
           CASE WHEN s.frontier IS NULL THEN 0 ELSE (pgtrickle._pending(d.source_relid, pgtrickle._seen(s))).changes END,
           pg_total_relation_size(b.oid)
      FROM pgtrickle.pgt_dependencies d
      JOIN pgtrickle.pgt_stream_tables s USING (pgt_id)
      -- Not by to_regclass: who may not use the schema sees the sizes, too.
      JOIN pg_catalog.pg_class b ON b.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = pgtrickle._changes_schema())
       AND b.relname = pgtrickle._buffer(d.source_relid)
     WHERE d.source_type IN ('TABLE', 'STREAM_TABLE')
     ORDER BY 1, 2
$$;

-- docs/pg_trickle.md, "Capture health"
CREATE FUNCTION pgtrickle.slot_health()
RETURNS TABLE (slot_name text, source_relid bigint, active boolean, retained_wal_bytes bigint, wal_status text)
LANGUAGE sql STRICT AS $$
    SELECT t.slot_name, t.source_relid::bigint, true, 0::bigint, 'trigger' FROM pgtrickle.pgt_change_tracking t ORDER BY t.source_relid
$$;

-- docs/pg_trickle.md, "Health views"
CREATE FUNCTION pgtrickle.health_check() RETURNS TABLE (check_name text, severity text, detail text) LANGUAGE sql STRICT AS $$
    WITH found AS (
        SELECT string_agg(name, ', ') FILTER (WHERE status IN ('ERROR', 'SUSPENDED')) AS in_error,
               count(*) FILTER (WHERE status IN ('ERROR', 'SUSPENDED')) AS in_error_count,
               string_agg(name, ', ') FILTER (WHERE stale) AS stale,
               count(*) FILTER (WHERE stale) AS stale_count,
               string_agg(name, ', ') FILTER (WHERE needs_reinit) AS owed,
               count(*) FILTER (WHERE needs_reinit) AS owed_count,
               string_agg(name, ', ') FILTER (WHERE consecutive_errors > 0) AS failing,
               count(*) FILTER (WHERE consecutive_errors > 0) AS failing_count
          FROM (SELECT s.pgt_schema || '.' || s.pgt_name AS name, s.status, s.stale, s.needs_reinit, s.consecutive_errors
                  FROM pgtrickle.stream_tables_info s ORDER BY 1) AS tables
    ), buffers AS (
        SELECT string_agg(DISTINCT source_table, ', ') AS large, count(DISTINCT source_table) AS large_count
          FROM pgtrickle.change_buffer_sizes() WHERE pending_rows > 10000
    )
    SELECT c.check_name, c.severity, c.detail FROM found, buffers, LATERAL (VALUES
        ('scheduler_running', CASE WHEN pgtrickle._scheduler_is_running() THEN 'OK' ELSE 'ERROR' END,
            CASE WHEN pgtrickle._scheduler_is_running() THEN '1 worker(s) running'
                 ELSE 'No pg_trickle workers found: no client calls pgtrickle._emulator_tick() in this database' END),
        ('error_tables', CASE WHEN in_error_count > 0 THEN 'ERROR' ELSE 'OK' END,
            coalesce(in_error_count || ' stream table(s) in ERROR/SUSPENDED: ' || in_error, 'All stream tables are ACTIVE or INITIALIZING')),
        ('stale_tables', CASE WHEN stale_count > 0 THEN 'WARN' ELSE 'OK' END,
            coalesce(stale_count || ' stale stream table(s) (scheduler behind its schedule): ' || stale, 'All stream tables within their schedule')),
        ('needs_reinit', CASE WHEN owed_count > 0 THEN 'WARN' ELSE 'OK' END,
            coalesce(owed_count || ' stream table(s) need reinitialization (DDL change detected): ' || owed, 'No stream tables awaiting reinitialization')),
        ('consecutive_errors', CASE WHEN failing_count > 0 THEN 'WARN' ELSE 'OK' END,
            coalesce(failing_count || ' stream table(s) accumulating refresh errors: ' || failing, 'No stream tables accumulating refresh errors')),
        ('buffer_growth', CASE WHEN large_count > 0 THEN 'WARN' ELSE 'OK' END,
            coalesce(large_count || ' CDC buffer(s) above 10000 pending rows: ' || large, 'All CDC buffers within normal range')),
        ('slot_lag', 'OK', 'All WAL replication slots within normal range'),
        ('worker_pool', 'OK', '0/4 worker tokens in use (mode=on)'),
        ('job_queue', 'OK', 'No jobs queued'),
        ('attachment_owner_check', 'OK', 'No outbox/publication ownership mismatches')
    ) AS c (check_name, severity, detail)
$$;

-- docs/pg_trickle.md, "Dependencies"
CREATE FUNCTION pgtrickle.list_sources(name text)
RETURNS TABLE (source_table text, source_oid bigint, source_type text, cdc_mode text, columns_used text)
LANGUAGE sql STRICT AS $$
    SELECT pgtrickle._relation_name(d.source_relid), d.source_relid::bigint, d.source_type, d.cdc_mode,
           d.columns_used::text
      FROM pgtrickle.pgt_dependencies d WHERE d.pgt_id = (pgtrickle._lookup(name)).pgt_id ORDER BY 1
$$;

-- The roots read no other stream table. The children of a stream table are its readers and its own sources.
-- docs/pg_trickle.md, "Dependencies"
CREATE FUNCTION pgtrickle.dependency_tree()
RETURNS TABLE (tree_line text, node text, node_type text, depth integer, status text, refresh_mode text)
LANGUAGE sql STRICT AS $$
    WITH RECURSIVE edges (above, id, name, rank) AS (
        SELECT NULL::bigint, s.pgt_id, pgtrickle._name(s), 0 FROM pgtrickle.pgt_stream_tables s
         WHERE NOT EXISTS (SELECT FROM pgtrickle.pgt_dependencies d JOIN pgtrickle.pgt_stream_tables up ON up.pgt_relid = d.source_relid
                            WHERE d.pgt_id = s.pgt_id)
        UNION ALL
        SELECT up.pgt_id, s.pgt_id, pgtrickle._name(s), 0 FROM pgtrickle.pgt_dependencies d
          JOIN pgtrickle.pgt_stream_tables up ON up.pgt_relid = d.source_relid
          JOIN pgtrickle.pgt_stream_tables s ON s.pgt_id = d.pgt_id
        UNION ALL
        SELECT d.pgt_id, NULL, pgtrickle._relation_name(d.source_relid), 1 FROM pgtrickle.pgt_dependencies d
         WHERE d.source_type <> 'STREAM_TABLE'
    ), ranked AS (
        SELECT *, row_number() OVER siblings AS nth, lead(name) OVER siblings IS NULL AS is_last FROM edges
        WINDOW siblings AS (PARTITION BY above ORDER BY rank, name)
    ), tree (id, name, is_last, indent, depth, path) AS (
        SELECT id, name, is_last, '', 0, ARRAY[nth] FROM ranked WHERE above IS NULL
        UNION ALL
        SELECT r.id, r.name, r.is_last, tree.indent || CASE WHEN tree.is_last THEN '    ' ELSE '│   ' END, tree.depth + 1, tree.path || r.nth
          FROM tree JOIN ranked r ON r.above = tree.id
    )
    SELECT tree.indent || CASE WHEN tree.is_last THEN '└── ' ELSE '├── ' END || tree.name || CASE WHEN tree.id IS NULL THEN ' [src]' ELSE '' END,
           tree.name, CASE WHEN tree.id IS NULL THEN 'source_table' ELSE 'stream_table' END, tree.depth, s.status, s.refresh_mode
      FROM tree LEFT JOIN pgtrickle.pgt_stream_tables s ON s.pgt_id = tree.id
     ORDER BY tree.path
$$;

-- docs/pg_trickle.md, "Refresh modes"
CREATE FUNCTION pgtrickle.explain_refresh_mode(name text)
RETURNS TABLE (configured_mode text, effective_mode text, downgrade_reason text) LANGUAGE plpgsql STRICT AS $$
DECLARE
    st pgtrickle.pgt_stream_tables := pgtrickle._lookup(name);
BEGIN
    IF st.pgt_id IS NULL THEN
        RAISE EXCEPTION 'diagnostic error: stream table ''%'' not found', name USING ERRCODE = 'XX000';
    END IF;
    RETURN QUERY VALUES (st.refresh_mode, st.effective_refresh_mode, NULL::text);
END $$;

-- docs/pg_trickle.md, "Health views"
CREATE FUNCTION pgtrickle.explain_st(name text, with_analyze boolean DEFAULT false) RETURNS TABLE (property text, value text) LANGUAGE plpgsql STRICT AS $$
DECLARE
    st pgtrickle.pgt_stream_tables := pgtrickle._lookup(name);
BEGIN
    IF st.pgt_id IS NULL THEN
        RETURN QUERY VALUES ('error', 'stream table not found: ' || name);
        RETURN;
    END IF;
    RETURN QUERY VALUES
        ('pgt_name', pgtrickle._name(st)),
        ('defining_query', st.defining_query),
        ('refresh_mode', st.refresh_mode),
        ('status', st.status),
        ('is_populated', st.is_populated::text),
        ('output_columns', (SELECT string_agg(c.name, ', ' ORDER BY c.nth) FROM pgtrickle._storage_columns(st.pgt_relid) c)),
        ('source_oids', (SELECT string_agg(d.source_relid::text, ', ' ORDER BY d.source_relid) FROM pgtrickle.pgt_dependencies d WHERE d.pgt_id = st.pgt_id)),
        ('frontier', st.frontier::text),
        ('append_only_mode', CASE WHEN st.is_append_only THEN 'on' ELSE 'off' END);
END $$;

-- docs/pg_trickle.md, "Query text"
CREATE FUNCTION pgtrickle.validate_query(query text) RETURNS TABLE (check_name text, result text, severity text) LANGUAGE plpgsql STRICT AS $$
DECLARE
    q pgtrickle._query;
BEGIN
    BEGIN
        q := pgtrickle._understand(query);
    EXCEPTION WHEN syntax_error_or_access_rule_violation OR feature_not_supported THEN
        -- The name of a class stands for all of its errors.
        IF SQLSTATE NOT IN ('42000', '0A000') THEN
            RAISE;
        END IF;
        RETURN QUERY VALUES ('resolved_refresh_mode', 'FULL', 'INFO'), ('dvm_parse_error', SQLERRM, 'ERROR');
        RETURN;
    END;
    PERFORM pgtrickle._forget();
    RETURN QUERY VALUES ('resolved_refresh_mode', CASE WHEN q.only_full IS NULL THEN 'DIFFERENTIAL' ELSE 'FULL' END, 'INFO');
    IF q.only_full IS NOT NULL THEN
        RETURN QUERY VALUES (CASE WHEN q.only_full ~ '^(Materialized view|Foreign table)' THEN 'matview_or_foreign_table' ELSE 'unsupported_construct' END,
                             'unsupported operator for DIFFERENTIAL mode: ' || q.only_full, 'WARNING');
    END IF;
    RETURN QUERY VALUES ('volatility',
                         CASE WHEN q.is_volatile THEN 'volatile' WHEN q.is_stable THEN 'stable' ELSE 'immutable' END,
                         CASE WHEN q.is_volatile THEN 'WARNING' ELSE 'INFO' END);
    IF q.has_groups THEN
        RETURN QUERY VALUES ('needs_pgt_count', 'true — multiplicity counter column required (DISTINCT/aggregation)', 'INFO');
    END IF;
END $$;

-- docs/pg_trickle.md, "Query text"
CREATE FUNCTION pgtrickle.export_definition(st_name text) RETURNS text LANGUAGE plpgsql STRICT AS $$
DECLARE
    st pgtrickle.pgt_stream_tables := pgtrickle._lookup(st_name);
BEGIN
    IF st.pgt_id IS NULL THEN
        RAISE EXCEPTION 'stream table not found: %', st_name USING ERRCODE = '22000';
    END IF;
    -- The first line is pg_trickle's own syntax, not SQL of PostgreSQL.
    RETURN format(E'DROP STREAM TABLE IF EXISTS %s;\nSELECT pgtrickle.create_stream_table(\n  %L::text,\n  $pgt$%s$pgt$::text', pgtrickle._name(st), pgtrickle._name(st), coalesce(st.original_query, st.defining_query))
        || format(E',\n  schedule => %L,\n  refresh_mode => %L', coalesce(st.schedule, 'calculated'), st.refresh_mode)
        || CASE WHEN st.is_append_only THEN E',\n  append_only => true' ELSE '' END
        || coalesce(E',\n  cdc_mode => ' || quote_literal(st.requested_cdc_mode), '')
        || coalesce(E',\n  partition_by => ' || quote_literal(st.st_partition_key), '')
        || format(E',\n  diamond_consistency => %L\n);\n', st.diamond_consistency)
        || coalesce((SELECT format(E'\nSELECT pgtrickle.alter_stream_table(%L, %s);', pgtrickle._name(st), string_agg(setting, ', '))
                       FROM (VALUES (CASE WHEN st.refresh_tier <> 'hot' THEN format('tier => %L', st.refresh_tier) END),
                                    (CASE WHEN st.fuse_mode <> 'off' THEN format('fuse => %L', st.fuse_mode) END),
                                    (CASE WHEN st.fuse_ceiling IS NOT NULL THEN format('fuse_ceiling => %s', st.fuse_ceiling) END)) AS settings (setting)
                      WHERE setting IS NOT NULL HAVING count(*) > 0), '');
END $$;

-- Failed refreshes of the scheduler have no history row, so this is empty, as in practice in pg_trickle.
-- docs/pg_trickle.md, "Refresh and history"
CREATE FUNCTION pgtrickle.diagnose_errors(name text)
RETURNS TABLE (event_time timestamptz, error_type text, error_message text, remediation text) LANGUAGE plpgsql STRICT AS $$
DECLARE
    st pgtrickle.pgt_stream_tables := pgtrickle._lookup(name);
BEGIN
    IF st.pgt_id IS NULL THEN
        RAISE EXCEPTION 'diagnose_errors: stream table not found: %', name USING ERRCODE = 'XX000';
    END IF;
    RETURN QUERY SELECT h.start_time, 'unknown'::text, h.error_message, NULL::text FROM pgtrickle.pgt_refresh_history h
                  WHERE h.pgt_id = st.pgt_id AND h.status = 'FAILED' ORDER BY h.refresh_id DESC;
END $$;

-- docs/pg_trickle.md, "Scheduler"
CREATE FUNCTION pgtrickle.is_drained() RETURNS boolean LANGUAGE sql STRICT AS $$
    SELECT NOT pgtrickle._tick_is_under_way()
$$;

-- docs/pg_trickle.md, "Scheduler"
CREATE FUNCTION pgtrickle.drain(timeout_s integer DEFAULT 60) RETURNS boolean LANGUAGE plpgsql STRICT AS $$
BEGIN
    FOR i IN 1..timeout_s * 10 LOOP
        IF pgtrickle.is_drained() THEN
            RETURN true;
        END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RETURN pgtrickle.is_drained();
END $$;

-- docs/pg_trickle.md, "Health views"
CREATE FUNCTION pgtrickle.preflight() RETURNS text LANGUAGE sql STRICT AS $$
    SELECT json_build_object(
        'engine', json_build_object('ok', true, 'detail', 'pg_trickle emulator ' || pgtrickle.version()),
        'scheduler_running', json_build_object(
            'ok', pgtrickle._scheduler_is_running() AND pgtrickle._setting_is_on('enabled'),
            'detail', CASE WHEN NOT pgtrickle._scheduler_is_running() THEN 'Scheduler is not running: no client calls pgtrickle._emulator_tick()'
                           WHEN pgtrickle._setting_is_on('enabled') THEN 'Scheduler is running and enabled'
                           ELSE 'Scheduler is running, but pg_trickle.enabled=off' END)
    )::text
$$;

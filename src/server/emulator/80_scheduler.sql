-- 80_scheduler: one tick.
--
-- The process that owns the server calls pgtrickle._emulator_tick() about once a second in every database that has the
-- extension. If that process dies, no tick runs and the heartbeat is old.

-- Refreshes what is due, in dependency order, each table in a separate transaction.
-- docs/pg_trickle.md, "Scheduler"
CREATE PROCEDURE pgtrickle._emulator_tick() LANGUAGE plpgsql AS $$
DECLARE
    id      bigint;
    state   text;
    problem text;
BEGIN
    -- ticks never overlap, even if one takes longer than a second
    IF NOT pg_try_advisory_lock('pgtrickle._emulator_scheduler'::regclass::oid::int, 0) THEN
        RETURN;
    END IF;
    UPDATE pgtrickle._emulator_scheduler SET beat_at = clock_timestamp();
    COMMIT;
    IF pgtrickle._setting_is_on('enabled') THEN
        FOREACH id IN ARRAY pgtrickle._due() LOOP
            -- do not wait long for a client: retry in the next tick
            PERFORM set_config('lock_timeout', '200ms', true);
            BEGIN
                PERFORM pgtrickle._refresh_if_due(id);
            EXCEPTION
                WHEN lock_not_available OR deadlock_detected OR serialization_failure THEN
                    NULL;  -- retried, without a record
                WHEN OTHERS THEN
                    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, problem = MESSAGE_TEXT;
                    UPDATE pgtrickle.pgt_stream_tables
                       SET status = 'ERROR', last_error_message = pgtrickle._error_text(state, problem), last_error_at = now()
                     WHERE pgt_id = id;
            END;
            COMMIT;
        END LOOP;
    END IF;
    PERFORM pg_advisory_unlock('pgtrickle._emulator_scheduler'::regclass::oid::int, 0);
END $$;

-- The candidates for a refresh, upstream tables first. Never includes INITIALIZING tables.
-- docs/pg_trickle.md, "Scheduler"
CREATE FUNCTION pgtrickle._due() RETURNS bigint[] LANGUAGE sql AS $$
    WITH RECURSIVE depth (pgt_id, level) AS (
        SELECT pgt_id, 0 FROM pgtrickle.pgt_stream_tables
        UNION
        SELECT d.pgt_id, level + 1
          FROM depth
          JOIN pgtrickle.pgt_stream_tables s ON s.pgt_id = depth.pgt_id
          JOIN pgtrickle.pgt_dependencies d ON d.source_relid = s.pgt_relid)
    SELECT coalesce(array_agg(pgt_id ORDER BY level, pgt_id), '{}')
      FROM (SELECT pgt_id, max(level) AS level FROM depth GROUP BY pgt_id) AS ordered
      JOIN pgtrickle.pgt_stream_tables s USING (pgt_id)
     WHERE pgtrickle._is_due(s)
$$;

-- A cron schedule is always due, as in pg_trickle 0.67.0. A calculated one is due after a change of a source, which
-- _refresh_if_due() checks. A frozen table still gets a pending full refresh.
-- docs/pg_trickle.md, "Schedules"
CREATE FUNCTION pgtrickle._is_due(st pgtrickle.pgt_stream_tables) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT st.status = 'ACTIVE'
       AND CASE WHEN st.needs_reinit OR NOT st.is_populated THEN true
                WHEN st.refresh_mode = 'IMMEDIATE' OR st.refresh_tier = 'frozen' THEN false
                ELSE coalesce(clock_timestamp() - st.last_refresh_at
                              > make_interval(secs => pgtrickle.parse_duration_seconds(st.schedule)
                                                      * CASE st.refresh_tier WHEN 'warm' THEN 2 WHEN 'cold' THEN 10 ELSE 1 END), true)
           END
$$;

-- docs/pg_trickle.md, "Scheduler"
CREATE FUNCTION pgtrickle._refresh_if_due(id bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    st      pgtrickle.pgt_stream_tables;
    started timestamptz := clock_timestamp();
    pending bigint;
    done    record;
BEGIN
    SELECT * INTO st FROM pgtrickle.pgt_stream_tables WHERE pgt_id = id FOR UPDATE SKIP LOCKED;
    IF st.pgt_id IS NULL OR NOT pgtrickle._is_due(st) THEN
        RETURN;
    ELSIF EXISTS (SELECT FROM pgtrickle.pgt_dependencies d JOIN pgtrickle.pgt_source_gates g USING (source_relid)
                   WHERE d.pgt_id = id AND g.gated) THEN
        INSERT INTO pgtrickle.pgt_refresh_history (pgt_id, data_timestamp, start_time, end_time, action, status, initiated_by, error_message)
        VALUES (id, now(), now(), now(), 'SKIP', 'SKIPPED', 'SCHEDULER', 'source gated');
        RETURN;
    END IF;
    IF st.is_populated AND st.frontier IS NOT NULL THEN
        pending := (pgtrickle._pending_of(st)).changes;
        IF pending > pgtrickle._fuse_ceiling(st) THEN
            PERFORM pgtrickle._blow_fuse(st, pending);
            RETURN;
        ELSIF pending = 0 AND st.schedule IS NULL AND NOT st.needs_reinit THEN
            RETURN;
        END IF;
    END IF;
    done := pgtrickle._refresh(st, 'SCHEDULER');
    PERFORM pgtrickle._alert(st, 'refresh_completed', jsonb_build_object(
        'action', done.action, 'rows_inserted', done.rows_inserted, 'rows_deleted', done.rows_deleted,
        'duration_ms', floor(extract(epoch FROM clock_timestamp() - started) * 1000)));
    IF done.action = 'NO_DATA' AND now() - st.data_timestamp > 2 * make_interval(secs => pgtrickle.parse_duration_seconds(st.schedule)) THEN
        PERFORM pgtrickle._alert(st, 'no_upstream_changes', jsonb_build_object(
            'idle_seconds', round(extract(epoch FROM now() - st.data_timestamp), 1)));
    END IF;
END $$;

-- docs/pg_trickle.md, "Status"
CREATE FUNCTION pgtrickle._blow_fuse(st pgtrickle.pgt_stream_tables, pending bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE pgtrickle.pgt_stream_tables
       SET status = 'SUSPENDED', fuse_state = 'blown', blown_at = now(),
           blow_reason = format('change buffer count (%s) exceeded ceiling (%s)', pending, pgtrickle._fuse_ceiling(st))
     WHERE pgt_id = st.pgt_id;
    PERFORM pg_notify('pgtrickle_alert', format('{"event":"fuse_blown","stream_table":%s,"pending":%s,"ceiling":%s}',
                                                to_json(pgtrickle._name(st)), pending, pgtrickle._fuse_ceiling(st)));
END $$;

-- pg_trickle stores the debug format of its error; clients extract the message.
-- docs/pg_trickle.md, "Status"
CREATE FUNCTION pgtrickle._error_text(state text, problem text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('ErrorReportWithLevel { level: ERROR, inner: ErrorReport { sqlerrcode: %s, message: %s, hint: None, detail: None } }',
                  state, to_json(problem))
$$;

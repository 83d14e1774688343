-- 60_refresh: manual refresh, IMMEDIATE mode, resume, repair, gates, fuse.

-- Refreshes a table whose catalog row the caller has locked, and returns what it did. It reads the sources only if one
-- has changed, if the table needs a full refresh, or if the user refreshes a FULL table.
-- docs/pg_trickle.md, "Refresh and history"
CREATE FUNCTION pgtrickle._refresh(st pgtrickle.pgt_stream_tables, initiated_by text,
                                   OUT action text, OUT rows_inserted bigint, OUT rows_deleted bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    -- an IMMEDIATE table has no buffers; only a manual refresh comes here
    owed         boolean := st.needs_reinit OR NOT st.is_populated OR st.frontier IS NULL OR st.refresh_mode = 'IMMEDIATE'
                            -- nothing tells that such a source has changed
                            OR initiated_by = 'MANUAL' AND EXISTS (SELECT FROM pgtrickle.pgt_dependencies d
                                WHERE d.pgt_id = st.pgt_id AND d.source_type IN ('MATVIEW', 'FOREIGN_TABLE'));
    -- set ACTIVE before it was populated: the scheduler populates it only after a change of a source
    never_filled boolean := initiated_by = 'SCHEDULER' AND NOT st.is_populated AND NOT st.needs_reinit;
    pending      bigint := 0;
    only_inserts boolean;
    seen         pg_snapshot;  -- NULL if the sources were not read
    appends      boolean;      -- inserted rows of one table became inserted rows here
BEGIN
    IF NOT owed OR never_filled THEN
        SELECT p.changes, p.only_inserts INTO pending, only_inserts FROM pgtrickle._pending_of(st) p;
    END IF;
    action := CASE WHEN st.needs_reinit THEN 'REINITIALIZE'
                   WHEN initiated_by = 'SCHEDULER' AND pending = 0 AND (never_filled OR NOT owed) THEN 'NO_DATA'
                   WHEN owed THEN 'FULL'
                   WHEN st.refresh_mode = 'FULL' THEN 'FULL'
                   ELSE 'DIFFERENTIAL' END;
    rows_inserted := 0;
    rows_deleted := 0;
    IF action IN ('FULL', 'REINITIALIZE') OR pending > 0 THEN
        SELECT w.rows_inserted, w.rows_deleted, w.seen INTO rows_inserted, rows_deleted, seen FROM pgtrickle._write(st) w;
    END IF;
    IF action = 'NO_DATA' AND never_filled THEN
        seen := pg_current_snapshot();
    END IF;
    appends := action = 'DIFFERENTIAL' AND pending > 0 AND only_inserts AND NOT pgtrickle._has_count(st.pgt_relid)
               AND (SELECT count(*) = 1 AND bool_and(source_type = 'TABLE') FROM pgtrickle.pgt_dependencies WHERE pgt_id = st.pgt_id);
    IF action = 'DIFFERENTIAL' AND pending > 0 THEN
        PERFORM pgtrickle._after_differential(st, appends);
    END IF;

    UPDATE pgtrickle.pgt_stream_tables s
       SET status = 'ACTIVE', is_populated = true, needs_reinit = false,
           consecutive_errors = 0, last_error_message = NULL, last_error_at = NULL,
           last_refresh_at = now(),
           data_timestamp = CASE WHEN action IN ('FULL', 'REINITIALIZE') OR rows_inserted + rows_deleted > 0
                                 THEN now() ELSE s.data_timestamp END,
           frontier = CASE WHEN seen IS NULL THEN s.frontier ELSE pgtrickle._frontier(st.pgt_id, seen) END,
           effective_refresh_mode = CASE WHEN action = 'NO_DATA' THEN 'NO_DATA'
                                         WHEN seen IS NULL THEN s.effective_refresh_mode
                                         -- a manual full refresh does not change it
                                         WHEN initiated_by IN ('MANUAL', 'ALTER') AND action <> 'DIFFERENTIAL' THEN s.effective_refresh_mode
                                         WHEN s.topk_limit IS NOT NULL THEN 'TOP_K'
                                         WHEN initiated_by = 'INITIAL' THEN s.refresh_mode
                                         WHEN action <> 'DIFFERENTIAL' THEN 'FULL'
                                         WHEN appends THEN 'APPEND_ONLY'
                                         ELSE 'DIFFERENTIAL' END,
           is_append_only = CASE WHEN action = 'DIFFERENTIAL' AND pending > 0 THEN appends ELSE s.is_append_only END,
           updated_at = now()
     WHERE pgt_id = st.pgt_id;
    -- the first population is not counted, and a refresh during an ALTER sends no notification
    INSERT INTO pgtrickle.pgt_refresh_history
           (pgt_id, data_timestamp, start_time, end_time, action, rows_inserted, rows_deleted, delta_row_count, status, initiated_by)
    SELECT st.pgt_id, now(), now(), now(), action, CASE initiated_by WHEN 'INITIAL' THEN 0 ELSE rows_inserted END, rows_deleted,
           CASE initiated_by WHEN 'INITIAL' THEN 0 ELSE rows_inserted + rows_deleted END, 'COMPLETED', initiated_by
     WHERE initiated_by <> 'ALTER';
    IF seen IS NOT NULL THEN
        PERFORM pgtrickle._prune(st.pgt_id);
    END IF;
END $$;

-- pg_trickle appends rows if there are only inserts, which fails with partitions, and records that it did.
-- docs/pg_trickle.md, "Storage table"
CREATE FUNCTION pgtrickle._after_differential(st pgtrickle.pgt_stream_tables, appends boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF appends AND st.st_partition_key IS NOT NULL THEN
        RAISE EXCEPTION 'there is no unique or exclusion constraint matching the ON CONFLICT specification' USING ERRCODE = '42P10';
    ELSIF st.is_append_only AND NOT appends THEN
        RAISE WARNING '[pg_trickle] Append-only stream table % received DELETE/UPDATE — reverting to MERGE.', pgtrickle._name(st);
    END IF;
    PERFORM pgtrickle._warn_about_default_partition(st);
END $$;

-- In the format of pg_trickle, plus the snapshot that the emulator uses.
CREATE FUNCTION pgtrickle._frontier(id bigint, seen pg_snapshot) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object(
        'data_timestamp', floor(extract(epoch FROM now()))::text || 'Z',
        'snapshot', seen::text,
        'sources', coalesce(jsonb_object_agg(source_relid::text, jsonb_build_object(
            'lsn', pg_current_wal_insert_lsn(), 'snapshot_id', NULL,
            'snapshot_ts', floor(extract(epoch FROM now()))::text || 'Z')), '{}'))
      FROM pgtrickle.pgt_dependencies WHERE pgt_id = id AND source_type = 'TABLE'
$$;

-- docs/pg_trickle.md, "Refresh and history"
CREATE FUNCTION pgtrickle.refresh_stream_table(name text) RETURNS void LANGUAGE plpgsql STRICT AS $$
DECLARE
    st   pgtrickle.pgt_stream_tables := pgtrickle._find(name);
    full_name text := pgtrickle._name(st);
    done record;
BEGIN
    IF st.status IN ('SUSPENDED', 'ERROR') THEN
        PERFORM pgtrickle._invalid(format('stream table %s is %s ; use pgtrickle.resume_stream_table(''%s'') first', full_name,
                                          CASE st.status WHEN 'ERROR' THEN 'in error state' ELSE 'suspended' END, st.pgt_name));
    END IF;
    SELECT * INTO st FROM pgtrickle.pgt_stream_tables WHERE pgt_id = st.pgt_id FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RAISE NOTICE 'refresh skipped: % — another refresh is already in progress', full_name;
        RETURN;
    END IF;
    IF st.needs_reinit THEN
        RAISE INFO 'Stream table %: needs_reinit is set, performing FULL reinitialization', full_name;
    ELSIF st.frontier IS NULL THEN
        RAISE INFO 'Stream table %: no previous frontier, performing FULL refresh first', full_name;
    END IF;
    done := pgtrickle._refresh(st, 'MANUAL');
    IF done.action = 'DIFFERENTIAL' THEN
        RAISE INFO 'Stream table % refreshed (DIFFERENTIAL: +% -%)', full_name, done.rows_inserted, done.rows_deleted;
    ELSE
        RAISE INFO 'Stream table % refreshed (FULL)', full_name;
    END IF;
END $$;

-- A full refresh during a change of the definition.
-- docs/pg_trickle.md, "Alter"
CREATE FUNCTION pgtrickle._refresh_fully(id bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    st pgtrickle.pgt_stream_tables;
BEGIN
    UPDATE pgtrickle.pgt_stream_tables SET frontier = NULL WHERE pgt_id = id RETURNING * INTO st;
    PERFORM pgtrickle._refresh(st, 'ALTER');
    RAISE INFO 'Stream table % refreshed (FULL)', pgtrickle._name(st);
END $$;

-- The trigger function runs as the owner of the stream table, because a user who may write to the source needs no
-- privilege to write here. So it has a fixed search_path, the current one with temporary tables last, which the writer
-- cannot change.
-- docs/pg_trickle.md, "Refresh modes"
CREATE FUNCTION pgtrickle._maintain_immediately(id bigint, source oid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    fn    text := format('pgtrickle.pgt_ivm_fn_%s_%s', id, source);
    event record;
BEGIN
    EXECUTE format('CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = %s
                    AS $body$ BEGIN PERFORM pgtrickle._refresh_now(%s, TG_OP); RETURN NULL; END $body$',
                   fn, concat_ws(', ', nullif(nullif(current_setting('search_path'), ''), '""'), 'pg_temp'), id);
    FOR event IN SELECT * FROM (VALUES ('ins', 'INSERT'), ('upd', 'UPDATE'), ('del', 'DELETE'), ('trunc', 'TRUNCATE')) AS e (suffix, command) LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER %s ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s()',
                       'pgt_ivm_after_' || event.suffix || '_' || id, event.command, source::regclass, fn);
    END LOOP;
END $$;

CREATE FUNCTION pgtrickle._stop_immediate(id bigint, source oid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    fn           regprocedure := to_regprocedure(format('pgtrickle.pgt_ivm_fn_%s_%s()', id, source));
    trigger_name text;
BEGIN
    FOR trigger_name IN SELECT tgname FROM pg_catalog.pg_trigger WHERE tgrelid = source AND tgfoid = fn LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', trigger_name, source::regclass);
    END LOOP;
    IF fn IS NOT NULL THEN
        EXECUTE format('DROP FUNCTION %s', fn);
    END IF;
END $$;

-- Runs in the writer's transaction: if the query fails, the write fails. It ignores the status.
-- docs/pg_trickle.md, "Refresh modes"
CREATE FUNCTION pgtrickle._refresh_now(id bigint, event text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    st   pgtrickle.pgt_stream_tables;
    seen pg_snapshot;
BEGIN
    SELECT * INTO st FROM pgtrickle.pgt_stream_tables WHERE pgt_id = id FOR UPDATE;
    IF event = 'TRUNCATE' AND pgtrickle._has_count(st.pgt_relid) THEN
        RAISE EXCEPTION 'column "__pgt_count" does not exist' USING ERRCODE = '42703';
    ELSIF st.is_populated THEN
        SELECT w.seen INTO seen FROM pgtrickle._write(st) w;
        UPDATE pgtrickle.pgt_stream_tables
           SET last_refresh_at = now(), data_timestamp = now(), frontier = pgtrickle._frontier(pgt_id, seen)
         WHERE pgt_id = id;
    END IF;
END $$;

-- docs/pg_trickle.md, "Status"
CREATE FUNCTION pgtrickle.resume_stream_table(name text) RETURNS void LANGUAGE plpgsql STRICT AS $$
DECLARE
    st pgtrickle.pgt_stream_tables := pgtrickle._own(name);
BEGIN
    IF st.status NOT IN ('SUSPENDED', 'ERROR') THEN
        PERFORM pgtrickle._invalid(format('stream table %s is not suspended or in error state (current status: %s)',
                                          pgtrickle._name(st), st.status));
    END IF;
    UPDATE pgtrickle.pgt_stream_tables
       SET status = 'ACTIVE', consecutive_errors = 0, last_error_message = NULL, last_error_at = NULL, updated_at = now()
     WHERE pgt_id = st.pgt_id;
    -- always "SUSPENDED", as in pg_trickle
    PERFORM pgtrickle._alert(st, 'resumed', jsonb_build_object('previous_status', 'SUSPENDED'));
    RAISE INFO 'Stream table % resumed (pgt_id=%)', pgtrickle._name(st), st.pgt_id;
END $$;

-- The payload has sorted keys and no blanks.
-- docs/pg_trickle.md, "Notifications"
CREATE FUNCTION pgtrickle._alert(st pgtrickle.pgt_stream_tables, event text, details jsonb) RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify('pg_trickle_alert', '{' || string_agg(to_json(key) || ':' || value, ',' ORDER BY key) || '}')
      FROM jsonb_each(details || jsonb_build_object('event', event, 'pgt_name', st.pgt_name, 'pgt_schema', st.pgt_schema,
                                                    'st', pgtrickle._name(st)))
     WHERE NOT st.pooler_compatibility_mode
    HAVING count(*) > 0
$$;

-- docs/pg_trickle.md, "Capture health"
CREATE FUNCTION pgtrickle.repair_stream_table(name text) RETURNS text LANGUAGE plpgsql STRICT AS $$
DECLARE
    st   pgtrickle.pgt_stream_tables := pgtrickle._own(name);
    said text := format('repair_stream_table(%s): frontier reset: scheduled full refresh on next cycle; cdc_infrastructure: verified OK; status reset: ACTIVE, errors cleared',
                        pgtrickle._name(st));
BEGIN
    UPDATE pgtrickle.pgt_stream_tables
       SET frontier = NULL, needs_reinit = true, is_populated = false, status = 'ACTIVE', consecutive_errors = 0,
           last_error_message = NULL, last_error_at = NULL, updated_at = now()
     WHERE pgt_id = st.pgt_id;
    PERFORM pgtrickle._capture_for(st);
    RAISE INFO '%', said;
    RETURN said;
END $$;

-- docs/pg_trickle.md, "Scheduler"
CREATE FUNCTION pgtrickle.gate_source(source text) RETURNS void LANGUAGE plpgsql STRICT AS $$
DECLARE
    relid oid := source::regclass;
BEGIN
    INSERT INTO pgtrickle.pgt_source_gates (source_relid, gated_by) VALUES (relid, 'gate_source')
    ON CONFLICT (source_relid) DO UPDATE SET gated = true, gated_at = now(), ungated_at = NULL;
    PERFORM pg_notify('pgtrickle_source_gate', relid::text);
    RAISE INFO 'pg_trickle: source % (oid=%) is now gated', pgtrickle._relation_name(relid), relid;
END $$;

-- docs/pg_trickle.md, "Scheduler"
CREATE FUNCTION pgtrickle.ungate_source(source text) RETURNS void LANGUAGE plpgsql STRICT AS $$
DECLARE
    relid oid := source::regclass;
BEGIN
    UPDATE pgtrickle.pgt_source_gates SET gated = false, ungated_at = now() WHERE source_relid = relid;
    PERFORM pg_notify('pgtrickle_source_gate', relid::text);
    RAISE INFO 'pg_trickle: source % (oid=%) is now ungated', pgtrickle._relation_name(relid), relid;
END $$;

-- docs/pg_trickle.md, "Scheduler"
CREATE FUNCTION pgtrickle.source_gates()
RETURNS TABLE (source_table text, schema_name text, gated boolean, gated_at timestamptz, ungated_at timestamptz, gated_by text)
LANGUAGE sql STRICT AS $$
    SELECT c.relname::text, c.relnamespace::regnamespace::text, g.gated, g.gated_at, g.ungated_at, g.gated_by
      FROM pgtrickle.pgt_source_gates g JOIN pg_catalog.pg_class c ON c.oid = g.source_relid
     ORDER BY 2, 1
$$;

-- docs/pg_trickle.md, "Scheduler"
CREATE FUNCTION pgtrickle.bootstrap_gate_status()
RETURNS TABLE (source_table text, schema_name text, gated boolean, gated_at timestamptz, ungated_at timestamptz,
               gated_by text, gate_duration interval, affected_stream_tables text)
LANGUAGE sql STRICT AS $$
    SELECT c.relname::text, c.relnamespace::regnamespace::text, g.gated, g.gated_at, g.ungated_at, g.gated_by,
           coalesce(g.ungated_at, now()) - g.gated_at,
           (SELECT string_agg(pgtrickle._name(s), ', ' ORDER BY pgtrickle._name(s))
              FROM pgtrickle.pgt_dependencies d JOIN pgtrickle.pgt_stream_tables s USING (pgt_id)
             WHERE d.source_relid = g.source_relid)
      FROM pgtrickle.pgt_source_gates g JOIN pg_catalog.pg_class c ON c.oid = g.source_relid
     ORDER BY 2, 1
$$;

-- The number of pending changes above which the fuse blows; NULL means never.
-- docs/pg_trickle.md, "Status"
CREATE FUNCTION pgtrickle._fuse_ceiling(st pgtrickle.pgt_stream_tables) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN st.fuse_mode <> 'off'
                THEN coalesce(st.fuse_ceiling, nullif(pgtrickle._setting('fuse_default_ceiling', '0')::bigint, 0)) END
$$;

-- docs/pg_trickle.md, "Status"
CREATE FUNCTION pgtrickle.reset_fuse(name text, action text DEFAULT 'apply') RETURNS void LANGUAGE plpgsql STRICT AS $$
DECLARE
    st pgtrickle.pgt_stream_tables := pgtrickle._own(name);
BEGIN
    IF st.fuse_state = 'blown' AND action NOT IN ('apply', 'reinitialize', 'skip_changes') THEN
        PERFORM pgtrickle._invalid(format('invalid reset_fuse action: ''%s'' (expected ''apply'', ''reinitialize'', or ''skip_changes'')', action));
    ELSIF st.fuse_state <> 'blown' THEN
        PERFORM pgtrickle._invalid(format('fuse is not blown for %s (current state: %s)', pgtrickle._name(st), st.fuse_state));
    END IF;
    UPDATE pgtrickle.pgt_stream_tables
       SET fuse_state = 'armed', blown_at = NULL, blow_reason = NULL, status = 'ACTIVE', updated_at = now(),
           needs_reinit = needs_reinit OR action = 'reinitialize',
           -- skipped changes count as seen
           frontier = CASE action WHEN 'skip_changes' THEN pgtrickle._frontier(pgt_id, pg_current_snapshot()) ELSE frontier END
     WHERE pgt_id = st.pgt_id;
    RAISE INFO 'pg_trickle: fuse reset for % with action ''%''', pgtrickle._name(st), action;
END $$;

-- docs/pg_trickle.md, "Status"
CREATE FUNCTION pgtrickle.fuse_status()
RETURNS TABLE (stream_table text, fuse_mode text, fuse_state text, fuse_ceiling bigint, effective_ceiling bigint,
               fuse_sensitivity integer, blown_at timestamptz, blow_reason text)
LANGUAGE sql STRICT AS $$
    SELECT pgtrickle._name(s), s.fuse_mode, s.fuse_state, s.fuse_ceiling, pgtrickle._fuse_ceiling(s),
           s.fuse_sensitivity, s.blown_at, s.blow_reason
      FROM pgtrickle.pgt_stream_tables s ORDER BY 1
$$;

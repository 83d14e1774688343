-- From 0.67.0-emulator to 0.108.3-emulator: what is published of pg_trickle 0.108.3, as far as this project reads it.
--
-- docs/pg_trickle.md marks what newer versions do as published; docs/emulator.md lists known differences.

CREATE OR REPLACE FUNCTION pgtrickle.version() RETURNS text LANGUAGE sql IMMUTABLE STRICT
RETURN '0.108.3-emulator'::text;

-- The catalog

ALTER TABLE pgtrickle.pgt_stream_tables
    ADD COLUMN requested_refresh_mode text NOT NULL DEFAULT 'DIFFERENTIAL'
        CHECK (requested_refresh_mode IN ('AUTO', 'FULL', 'DIFFERENTIAL', 'IMMEDIATE')),
    ADD COLUMN last_error_code text,
    ADD COLUMN last_error_retryable boolean,
    ADD COLUMN target_freshness_mode text CHECK (target_freshness_mode IN ('INTERVAL', 'ON_COMMIT', 'MANUAL')),
    ADD COLUMN refresh_reason text,
    ADD COLUMN refresh_reason_detail text,
    ADD COLUMN storage_fillfactor integer,
    ADD COLUMN row_identity_version smallint,
    ADD COLUMN row_probe_version smallint,
    ADD COLUMN orchestration_mode text NOT NULL DEFAULT 'MANAGED' CHECK (orchestration_mode IN ('MANAGED', 'EXTERNAL'));
UPDATE pgtrickle.pgt_stream_tables SET requested_refresh_mode = refresh_mode;

ALTER TABLE pgtrickle.pgt_refresh_history
    ADD COLUMN rows_updated bigint NOT NULL DEFAULT 0,
    ADD COLUMN refresh_reason text,
    ADD COLUMN refresh_reason_detail text,
    ADD COLUMN error_code text,
    ADD COLUMN error_sqlstate text,
    ADD COLUMN retryable boolean,
    ADD COLUMN duration_ms float8,
    DROP CONSTRAINT pgt_refresh_history_initiated_by_check,
    ADD CONSTRAINT pgt_refresh_history_initiated_by_check
        CHECK (initiated_by IN ('SCHEDULER', 'SCHEDULER_FUSED', 'MANUAL', 'INITIAL', 'SELF_MONITOR', 'EXTERNAL_GRAPH'));

-- docs/pg_trickle.md, "Change capture"
CREATE TABLE pgtrickle.pgt_change_buffers (
    buffer_key text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO pgtrickle.pgt_change_buffers (buffer_key)
SELECT 'changes_' || source_stable_name FROM pgtrickle.pgt_change_tracking
UNION
SELECT pgtrickle._buffer(source_relid) FROM pgtrickle.pgt_dependencies WHERE source_type = 'STREAM_TABLE';

CREATE FUNCTION pgtrickle._on_buffer() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO pgtrickle.pgt_change_buffers (buffer_key)
    SELECT c.relname FROM pg_event_trigger_ddl_commands() d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'r'
     WHERE d.classid = 'pg_class'::regclass
       AND c.oid = to_regclass(pgtrickle._in_changes(c.relname)) AND c.relname LIKE 'changes\_%'
    ON CONFLICT DO NOTHING;
END $$;
CREATE EVENT TRIGGER pg_trickle_buffers ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION pgtrickle._on_buffer();

-- docs/pg_trickle.md, "Restored databases"
CREATE TABLE pgtrickle.pgt_capture_instance (
    singleton         boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    state             text NOT NULL DEFAULT 'ACTIVE' CHECK (state IN ('ACTIVE', 'QUIESCED', 'QUARANTINED')),
    quarantine_reason text
);
INSERT INTO pgtrickle.pgt_capture_instance DEFAULT VALUES;

-- docs/pg_trickle.md, "Restored databases"
CREATE FUNCTION pgtrickle.capture_instance_status() RETURNS text LANGUAGE sql STRICT AS $$
    SELECT to_jsonb(i)::text FROM pgtrickle.pgt_capture_instance i
$$;

-- docs/pg_trickle.md, "Restored databases"
CREATE FUNCTION pgtrickle.recover_capture_instance() RETURNS text LANGUAGE sql STRICT AS $$
    UPDATE pgtrickle.pgt_capture_instance SET state = 'ACTIVE', quarantine_reason = NULL RETURNING state
$$;

-- docs/pg_trickle.md, "Restored databases"
CREATE FUNCTION pgtrickle.validate_recovery() RETURNS text LANGUAGE sql STRICT AS $$
    SELECT jsonb_build_object('state', state, 'problems', '[]'::jsonb)::text FROM pgtrickle.pgt_capture_instance
$$;

-- Failures: a row in the history, and a code. A dropped source suspends its readers.
-- docs/pg_trickle.md, "Status" and "Source DDL"
CREATE FUNCTION pgtrickle._on_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'ERROR' AND NEW.last_error_at IS DISTINCT FROM OLD.last_error_at THEN
        NEW.last_error_code := 'PERMANENT';
        NEW.last_error_retryable := false;
        INSERT INTO pgtrickle.pgt_refresh_history
               (pgt_id, data_timestamp, start_time, end_time, action, status, initiated_by, error_message, error_code, retryable)
        VALUES (NEW.pgt_id, now(), now(), now(), 'DIFFERENTIAL', 'FAILED', 'SCHEDULER', NEW.last_error_message, 'PERMANENT', false);
    ELSIF NEW.status = 'ERROR' AND OLD.status = 'ACTIVE' AND EXISTS (
            SELECT FROM pgtrickle.pgt_dependencies d
             WHERE d.pgt_id = NEW.pgt_id AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = d.source_relid)) THEN
        NEW.status := 'SUSPENDED';
        NEW.refresh_reason := 'SOURCE_DROPPED';
        NEW.refresh_reason_detail := 'a source was dropped';
    ELSIF NEW.status = 'ACTIVE' AND OLD.status <> 'ACTIVE' THEN
        NEW.last_error_code := NULL;
        NEW.refresh_reason := NULL;
        NEW.refresh_reason_detail := NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER pgt_status BEFORE UPDATE OF status ON pgtrickle.pgt_stream_tables
    FOR EACH ROW EXECUTE FUNCTION pgtrickle._on_status();

DROP FUNCTION pgtrickle.get_refresh_history(text, integer);
-- docs/pg_trickle.md, "Refresh and history"
CREATE FUNCTION pgtrickle.get_refresh_history(name text, max_rows integer DEFAULT 20)
RETURNS TABLE (refresh_id bigint, data_timestamp timestamptz, start_time timestamptz, end_time timestamptz, action text,
               status text, rows_inserted bigint, rows_updated bigint, rows_deleted bigint, duration_ms float8,
               error_message text, refresh_reason text, refresh_reason_detail text)
LANGUAGE sql STRICT AS $$
    SELECT h.refresh_id, h.data_timestamp, h.start_time, h.end_time, h.action, h.status, h.rows_inserted, h.rows_updated,
           h.rows_deleted, coalesce(h.duration_ms, extract(epoch FROM h.end_time - h.start_time) * 1000)::float8,
           h.error_message, h.refresh_reason, h.refresh_reason_detail
      FROM pgtrickle.pgt_refresh_history h
     WHERE h.pgt_id = (pgtrickle._lookup(name)).pgt_id
     ORDER BY h.refresh_id DESC LIMIT max_rows
$$;

-- Create, alter, refresh

-- docs/pg_trickle.md, "Creation and population"
CREATE FUNCTION pgtrickle._requested_mode(mode text) RETURNS text LANGUAGE sql AS $$
    SELECT replace(pgtrickle._refresh_mode(mode), 'INCREMENTAL', 'DIFFERENTIAL')
$$;

ALTER FUNCTION pgtrickle.create_stream_table RENAME TO _create_0_67;
-- docs/pg_trickle.md, "Creation and population"
CREATE FUNCTION pgtrickle.create_stream_table(
    name text, query text, schedule text DEFAULT 'calculated', refresh_mode text DEFAULT 'AUTO',
    initialize boolean DEFAULT true, diamond_consistency text DEFAULT NULL, diamond_schedule_policy text DEFAULT NULL,
    cdc_mode text DEFAULT NULL, append_only boolean DEFAULT false, pooler_compatibility_mode boolean DEFAULT false,
    partition_by text DEFAULT NULL, max_differential_joins integer DEFAULT NULL, max_delta_fraction float8 DEFAULT NULL,
    output_distribution_column text DEFAULT NULL, temporal boolean DEFAULT false, storage_backend text DEFAULT NULL,
    fillfactor integer DEFAULT NULL, target_freshness text DEFAULT NULL, orchestration_mode text DEFAULT 'MANAGED')
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    -- before the creation, so that a wrong word changes nothing
    freshness text := pgtrickle._target_freshness(target_freshness);
    id        bigint;
BEGIN
    PERFORM pgtrickle._one_of('orchestration_mode', lower(orchestration_mode), 'managed', 'external');
    PERFORM pgtrickle._create_0_67(name, query, schedule, refresh_mode, initialize, diamond_consistency,
        diamond_schedule_policy, cdc_mode, append_only, pooler_compatibility_mode, partition_by, max_differential_joins,
        max_delta_fraction, output_distribution_column, temporal, storage_backend);
    id := (pgtrickle._lookup(name)).pgt_id;
    UPDATE pgtrickle.pgt_stream_tables s
       SET requested_refresh_mode = pgtrickle._requested_mode(coalesce($4, 'AUTO')),
           orchestration_mode = upper(coalesce($19, 'MANAGED')), storage_fillfactor = $17, target_freshness_mode = freshness,
           freshness_deadline_ms = CASE freshness WHEN 'INTERVAL' THEN pgtrickle.parse_duration_seconds($18) * 1000 END,
           row_identity_version = 3, row_probe_version = 1
     WHERE s.pgt_id = id;
    IF fillfactor IS NOT NULL THEN
        EXECUTE format('ALTER TABLE %s SET (fillfactor = %s)', (pgtrickle._lookup(name)).pgt_relid::regclass, fillfactor);
    END IF;
END $$;

-- docs/pg_trickle.md, "Freshness"
CREATE FUNCTION pgtrickle._target_freshness(target text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF target IS NULL OR upper(target) IN ('ON_COMMIT', 'MANUAL') THEN
        RETURN upper(target);
    ELSIF pgtrickle.parse_duration_seconds(target) IS NULL THEN
        PERFORM pgtrickle._invalid('invalid target_freshness: ' || target);
    ELSIF current_setting('track_commit_timestamp') <> 'on' THEN
        PERFORM pgtrickle._invalid('target_freshness needs track_commit_timestamp = on');
    END IF;
    RETURN 'INTERVAL';
END $$;

DROP FUNCTION pgtrickle.create_stream_table_if_not_exists;
-- docs/pg_trickle.md, "Creation and population"
CREATE FUNCTION pgtrickle.create_stream_table_if_not_exists(
    name text, query text, schedule text DEFAULT 'calculated', refresh_mode text DEFAULT 'AUTO',
    initialize boolean DEFAULT true, diamond_consistency text DEFAULT NULL, diamond_schedule_policy text DEFAULT NULL,
    cdc_mode text DEFAULT NULL, append_only boolean DEFAULT false, pooler_compatibility_mode boolean DEFAULT false,
    partition_by text DEFAULT NULL, max_differential_joins integer DEFAULT NULL, max_delta_fraction float8 DEFAULT NULL,
    output_distribution_column text DEFAULT NULL, temporal boolean DEFAULT false, storage_backend text DEFAULT NULL,
    fillfactor integer DEFAULT NULL, target_freshness text DEFAULT NULL, orchestration_mode text DEFAULT 'MANAGED')
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (pgtrickle._lookup(name)).pgt_id IS NOT NULL THEN
        RAISE INFO 'Stream table % already exists — skipping creation.', name;
        RETURN;
    END IF;
    PERFORM pgtrickle.create_stream_table(name, query, schedule, refresh_mode, initialize, diamond_consistency,
        diamond_schedule_policy, cdc_mode, append_only, pooler_compatibility_mode, partition_by, max_differential_joins,
        max_delta_fraction, output_distribution_column, temporal, storage_backend, fillfactor, target_freshness, orchestration_mode);
END $$;

ALTER FUNCTION pgtrickle.create_or_replace_stream_table RENAME TO _create_or_replace_0_67;
-- docs/pg_trickle.md, "Create or replace"
CREATE FUNCTION pgtrickle.create_or_replace_stream_table(
    name text, query text, schedule text DEFAULT 'calculated', refresh_mode text DEFAULT 'AUTO',
    initialize boolean DEFAULT true, diamond_consistency text DEFAULT NULL, diamond_schedule_policy text DEFAULT NULL,
    cdc_mode text DEFAULT NULL, append_only boolean DEFAULT false, pooler_compatibility_mode boolean DEFAULT false,
    partition_by text DEFAULT NULL, max_differential_joins integer DEFAULT NULL, max_delta_fraction float8 DEFAULT NULL,
    output_distribution_column text DEFAULT NULL, temporal boolean DEFAULT false, storage_backend text DEFAULT NULL,
    orchestration_mode text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pgtrickle._one_of('orchestration_mode', lower(orchestration_mode), 'managed', 'external');
    PERFORM pgtrickle._create_or_replace_0_67(name, query, schedule, refresh_mode, initialize, diamond_consistency,
        diamond_schedule_policy, cdc_mode, append_only, pooler_compatibility_mode, partition_by, max_differential_joins,
        max_delta_fraction, output_distribution_column, temporal, storage_backend);
    UPDATE pgtrickle.pgt_stream_tables s
       SET requested_refresh_mode = pgtrickle._requested_mode(coalesce($4, 'AUTO')),
           orchestration_mode = coalesce(upper($17), s.orchestration_mode)
     WHERE s.pgt_id = (pgtrickle._lookup(name)).pgt_id;
END $$;

ALTER FUNCTION pgtrickle.alter_stream_table RENAME TO _alter_0_67;
-- docs/pg_trickle.md, "Alter"
CREATE FUNCTION pgtrickle.alter_stream_table(
    name text, query text DEFAULT NULL, schedule text DEFAULT NULL, refresh_mode text DEFAULT NULL, status text DEFAULT NULL,
    diamond_consistency text DEFAULT NULL, diamond_schedule_policy text DEFAULT NULL, cdc_mode text DEFAULT NULL,
    append_only boolean DEFAULT NULL, pooler_compatibility_mode boolean DEFAULT NULL, tier text DEFAULT NULL,
    fuse text DEFAULT NULL, fuse_ceiling bigint DEFAULT NULL, fuse_sensitivity integer DEFAULT NULL,
    partition_by text DEFAULT NULL, max_differential_joins integer DEFAULT NULL, max_delta_fraction float8 DEFAULT NULL,
    post_refresh_action text DEFAULT NULL, reindex_drift_threshold float8 DEFAULT NULL, target_freshness text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    st        pgtrickle.pgt_stream_tables := pgtrickle._lookup(name);
    asked     text := pgtrickle._requested_mode(refresh_mode);
    freshness text := pgtrickle._target_freshness(target_freshness);
BEGIN
    PERFORM pgtrickle._alter_0_67(name, query, schedule,
        CASE WHEN asked = 'AUTO' THEN pgtrickle._resolve_mode(
            name, 'AUTO', pgtrickle._understand(coalesce(query, st.original_query, st.defining_query))) ELSE asked END,
        status, diamond_consistency, diamond_schedule_policy, cdc_mode, append_only, pooler_compatibility_mode, tier, fuse,
        fuse_ceiling, fuse_sensitivity, partition_by, max_differential_joins, max_delta_fraction, post_refresh_action,
        reindex_drift_threshold);
    UPDATE pgtrickle.pgt_stream_tables s
       SET requested_refresh_mode = coalesce(asked, s.requested_refresh_mode),
           target_freshness_mode = coalesce(freshness, s.target_freshness_mode),
           freshness_deadline_ms = CASE freshness WHEN 'INTERVAL' THEN pgtrickle.parse_duration_seconds($20) * 1000
                                                  ELSE s.freshness_deadline_ms END
     WHERE s.pgt_id = st.pgt_id;
END $$;

-- docs/pg_trickle.md, "Scheduler"
CREATE FUNCTION pgtrickle.set_orchestration_mode(stream_table regclass, mode text) RETURNS text LANGUAGE plpgsql STRICT AS $$
BEGIN
    PERFORM pgtrickle._one_of('orchestration_mode', lower(mode), 'managed', 'external');
    UPDATE pgtrickle.pgt_stream_tables SET orchestration_mode = upper(mode) WHERE pgt_relid = stream_table;
    RETURN upper(mode);
END $$;

ALTER FUNCTION pgtrickle.refresh_stream_table RENAME TO _refresh_0_67;
-- docs/pg_trickle.md, "Scheduler"
CREATE FUNCTION pgtrickle.refresh_stream_table(name text) RETURNS void LANGUAGE plpgsql STRICT AS $$
BEGIN
    IF (pgtrickle._find(name)).orchestration_mode = 'EXTERNAL' THEN
        RAISE EXCEPTION 'PGT_EXT_ORCHESTRATION_MODE: stream table % is refreshed by an external orchestrator', name
            USING ERRCODE = '55000';
    END IF;
    PERFORM pgtrickle._refresh_0_67(name);
END $$;

-- docs/pg_trickle.md, "Source DDL"
CREATE OR REPLACE FUNCTION pgtrickle._needs_buffer_for_columns() RETURNS boolean LANGUAGE sql IMMUTABLE RETURN false;

-- docs/pg_trickle.md, "Source DDL"
CREATE FUNCTION pgtrickle.reinitialize_stream_table(name text) RETURNS text LANGUAGE plpgsql STRICT AS $$
DECLARE
    st pgtrickle.pgt_stream_tables := pgtrickle._own(name);
BEGIN
    UPDATE pgtrickle.pgt_stream_tables SET status = 'ACTIVE', needs_reinit = true WHERE pgt_id = st.pgt_id;
    PERFORM pgtrickle._refresh_0_67(name);
    RETURN 'reinitialized ' || name;
END $$;

-- The scheduler

ALTER TABLE pgtrickle._emulator_scheduler ADD COLUMN is_drained boolean;

ALTER FUNCTION pgtrickle._is_due RENAME TO _is_due_0_67;
CREATE FUNCTION pgtrickle._is_due(st pgtrickle.pgt_stream_tables) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT pgtrickle._is_due_0_67(st) AND st.orchestration_mode = 'MANAGED'
       AND (SELECT is_drained IS NOT TRUE FROM pgtrickle._emulator_scheduler)
       AND (SELECT state = 'ACTIVE' FROM pgtrickle.pgt_capture_instance)
$$;

CREATE OR REPLACE FUNCTION pgtrickle.is_drained() RETURNS boolean LANGUAGE sql STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT is_drained FROM pgtrickle._emulator_scheduler
$$;

-- The tick takes the row as well, so it is written to after the wait.
CREATE OR REPLACE FUNCTION pgtrickle.drain(timeout_s integer DEFAULT 60) RETURNS boolean LANGUAGE plpgsql STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    FOR i IN 1..timeout_s * 10 LOOP
        EXIT WHEN NOT pgtrickle._tick_is_under_way();
        PERFORM pg_sleep(0.1);
    END LOOP;
    IF pgtrickle._tick_is_under_way() THEN
        RETURN false;
    END IF;
    UPDATE pgtrickle._emulator_scheduler SET is_drained = true;
    RETURN true;
END $$;

-- docs/pg_trickle.md, "Scheduler"
CREATE FUNCTION pgtrickle.resume_after_drain() RETURNS boolean LANGUAGE sql STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    UPDATE pgtrickle._emulator_scheduler SET is_drained = false RETURNING true
$$;

-- docs/pg_trickle.md, "Privileges"
REVOKE EXECUTE ON FUNCTION
    pgtrickle.create_stream_table, pgtrickle.create_stream_table_if_not_exists, pgtrickle.create_or_replace_stream_table,
    pgtrickle.alter_stream_table, pgtrickle.drop_stream_table, pgtrickle.refresh_stream_table,
    pgtrickle.resume_stream_table, pgtrickle.repair_stream_table, pgtrickle.reinitialize_stream_table,
    pgtrickle.set_orchestration_mode, pgtrickle.drain, pgtrickle.resume_after_drain,
    pgtrickle.recover_capture_instance, pgtrickle.gate_source, pgtrickle.ungate_source, pgtrickle.reset_fuse
FROM PUBLIC;

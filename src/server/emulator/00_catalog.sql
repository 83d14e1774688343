-- The pg_trickle emulator: an extension named pg_trickle, written in SQL and PL/pgSQL only.
--
-- It replaces pg_trickle 0.67.0 where only a plain PostgreSQL 18 is available: on a laptop without Docker and in this
-- project's own tests. Catalog, functions, messages and SQLSTATEs are those of pg_trickle; the implementation is
-- different and simple:
--
--   * a refresh runs the whole query and applies the difference to the storage table;
--   * change capture only answers "has a source changed since the last refresh?". Every captured row has the transaction
--     that wrote it, every stream table has the snapshot of its last refresh (frontier ->> 'snapshot'), and changes that
--     the snapshot does not see are pending. So a late commit is never missed;
--   * PostgreSQL is the parser: a query is analysed through the catalog entries of a temporary view;
--   * the scheduler runs when a client calls pgtrickle._emulator_tick().
--
-- docs/pg_trickle.md describes the real extension; each public table, view and function cites its heading there.
-- docs/emulator.md lists known differences, tests/conformance/ shows what is the same.
--
-- Contents
--   00_catalog      the catalog tables
--   10_words        names, schedules and arguments; their errors; versions and hashes
--   20_views        the monitoring views
--   30_query        what a query reads, returns and is allowed to do
--   40_capture      change buffers, capture triggers, pending changes
--   50_storage      the storage table, and the statement that writes it
--   60_refresh      manual refresh, IMMEDIATE mode, resume, repair, gates, fuse
--   70_create       create, create or replace
--   75_alter_drop   alter, alter the query, drop
--   80_scheduler    one tick
--   85_source_ddl   effects of altering or dropping a source
--   90_monitoring   the monitoring functions
--   0.108.3         the script that updates the extension to that version
--
-- Conventions: helpers start with an underscore. Only the triggers on sources and the count of captured changes are
-- SECURITY DEFINER. No other function sets search_path, because a user's query must resolve in the caller's path;
-- therefore all names in this script are qualified.

CREATE SCHEMA pgtrickle_changes;

-- docs/pg_trickle.md, "Status"
CREATE TABLE pgtrickle.pgt_stream_tables (
    pgt_id                          bigserial PRIMARY KEY,
    pgt_relid                       oid NOT NULL UNIQUE,
    pgt_name                        text NOT NULL,
    pgt_schema                      text NOT NULL,
    defining_query                  text NOT NULL,
    original_query                  text,
    schedule                        text,
    refresh_mode                    text NOT NULL DEFAULT 'DIFFERENTIAL'
                                    CHECK (refresh_mode IN ('FULL', 'DIFFERENTIAL', 'IMMEDIATE')),
    status                          text NOT NULL DEFAULT 'INITIALIZING'
                                    CHECK (status IN ('INITIALIZING', 'ACTIVE', 'SUSPENDED', 'ERROR')),
    is_populated                    boolean NOT NULL DEFAULT false,
    data_timestamp                  timestamptz,
    frontier                        jsonb,
    last_refresh_at                 timestamptz,
    consecutive_errors              integer NOT NULL DEFAULT 0,
    needs_reinit                    boolean NOT NULL DEFAULT false,
    auto_threshold                  float8,
    last_full_ms                    float8,
    functions_used                  text[],
    topk_limit                      integer,
    topk_order_by                   text,
    topk_offset                     integer,
    diamond_consistency             text NOT NULL DEFAULT 'atomic'
                                    CHECK (diamond_consistency IN ('none', 'atomic')),
    diamond_schedule_policy         text NOT NULL DEFAULT 'fastest'
                                    CHECK (diamond_schedule_policy IN ('fastest', 'slowest')),
    has_keyless_source              boolean NOT NULL DEFAULT false,
    function_hashes                 text,
    requested_cdc_mode              text CHECK (requested_cdc_mode IN ('auto', 'trigger', 'wal')),
    is_append_only                  boolean NOT NULL DEFAULT false,
    scc_id                          integer,
    last_fixpoint_iterations        integer,
    max_differential_joins          integer,
    max_delta_fraction              float8,
    pooler_compatibility_mode       boolean NOT NULL DEFAULT false,
    refresh_tier                    text NOT NULL DEFAULT 'hot'
                                    CHECK (refresh_tier IN ('hot', 'warm', 'cold', 'frozen')),
    effective_refresh_mode          text,
    fuse_mode                       text NOT NULL DEFAULT 'off' CHECK (fuse_mode IN ('off', 'on', 'auto')),
    fuse_state                      text NOT NULL DEFAULT 'armed' CHECK (fuse_state IN ('armed', 'blown', 'disabled')),
    fuse_ceiling                    bigint,
    fuse_sensitivity                integer,
    blown_at                        timestamptz,
    blow_reason                     text,
    last_error_message              text,
    last_error_at                   timestamptz,
    downstream_publication_name     text,
    freshness_deadline_ms           bigint,
    st_partition_key                text,
    st_placement                    text NOT NULL DEFAULT 'local',
    temporal_mode                   boolean NOT NULL DEFAULT false,
    storage_backend                 text NOT NULL DEFAULT 'heap',
    post_refresh_action             text NOT NULL DEFAULT 'none'
                                    CHECK (post_refresh_action IN ('none', 'analyze', 'reindex', 'reindex_if_drift')),
    reindex_drift_threshold         float8 CHECK (reindex_drift_threshold IS NULL OR
                                        (reindex_drift_threshold > 0::float8 AND reindex_drift_threshold <= 1.0::float8)),
    rows_changed_since_last_reindex bigint NOT NULL DEFAULT 0,
    last_reindex_at                 timestamptz,
    column_lineage                  jsonb,
    defining_query_hash             bigint NOT NULL DEFAULT 0,
    ducklake_compaction_policy      text CHECK (ducklake_compaction_policy IN ('fallback', 'error')),
    ducklake_sink_mode              text CHECK (ducklake_sink_mode IS NULL OR ducklake_sink_mode IN ('append', 'replace')),
    ducklake_sink_path              text,
    ducklake_sink_table_id          bigint,
    created_at                      timestamptz NOT NULL DEFAULT now(),
    updated_at                      timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX idx_pgt_name ON pgtrickle.pgt_stream_tables (pgt_schema, pgt_name);

-- docs/pg_trickle.md, "Dependencies"
CREATE TABLE pgtrickle.pgt_dependencies (
    pgt_id                bigint NOT NULL REFERENCES pgtrickle.pgt_stream_tables (pgt_id) ON DELETE CASCADE,
    source_relid          oid NOT NULL,
    source_type           text NOT NULL
                          CHECK (source_type IN ('TABLE', 'STREAM_TABLE', 'VIEW', 'MATVIEW', 'FOREIGN_TABLE')),
    columns_used          text[],
    column_snapshot       jsonb,
    schema_fingerprint    text,
    cdc_mode              text NOT NULL DEFAULT 'TRIGGER'
                          CHECK (cdc_mode IN ('TRIGGER', 'TRANSITIONING', 'WAL', 'DUCKLAKE_CHANGE_FEED')),
    slot_name             text,
    decoder_confirmed_lsn pg_lsn,
    transition_started_at timestamptz,
    source_stable_name    text,
    source_placement      text NOT NULL DEFAULT 'local',
    PRIMARY KEY (pgt_id, source_relid)
);
CREATE INDEX idx_pgt_dependencies_source ON pgtrickle.pgt_dependencies (source_relid);

-- docs/pg_trickle.md, "Change capture"
CREATE TABLE pgtrickle.pgt_change_tracking (
    source_relid       oid PRIMARY KEY,
    slot_name          text NOT NULL,
    last_consumed_lsn  pg_lsn,
    tracked_by_pgt_ids bigint[],
    source_stable_name text,
    source_placement   text NOT NULL DEFAULT 'local',
    frontier_per_node  jsonb
);

-- The number of partitions that are known of a source.
-- docs/pg_trickle.md, "Change capture"
CREATE TABLE pgtrickle._known_partitions (
    source_relid oid PRIMARY KEY,
    partitions   bigint NOT NULL
);

-- docs/pg_trickle.md, "Refresh and history"
CREATE TABLE pgtrickle.pgt_refresh_history (
    refresh_id          bigserial PRIMARY KEY,
    pgt_id              bigint NOT NULL REFERENCES pgtrickle.pgt_stream_tables (pgt_id) ON DELETE CASCADE,
    data_timestamp      timestamptz NOT NULL,
    start_time          timestamptz NOT NULL,
    end_time            timestamptz,
    action              text NOT NULL CHECK (action IN ('NO_DATA', 'FULL', 'DIFFERENTIAL', 'REINITIALIZE', 'SKIP')),
    rows_inserted       bigint DEFAULT 0,
    rows_deleted        bigint DEFAULT 0,
    delta_row_count     bigint DEFAULT 0,
    merge_strategy_used text,
    was_full_fallback   boolean NOT NULL DEFAULT false,
    error_message       text,
    status              text NOT NULL CHECK (status IN ('RUNNING', 'COMPLETED', 'FAILED', 'SKIPPED')),
    initiated_by        text CHECK (initiated_by IN ('SCHEDULER', 'MANUAL', 'INITIAL', 'SELF_MONITOR')),
    freshness_deadline  timestamptz,
    tick_watermark_lsn  pg_lsn,
    fixpoint_iteration  integer
);
CREATE INDEX idx_pgt_refresh_history_table ON pgtrickle.pgt_refresh_history (pgt_id, refresh_id);

-- docs/pg_trickle.md, "Scheduler"
CREATE TABLE pgtrickle.pgt_source_gates (
    source_relid oid PRIMARY KEY,
    gated        boolean NOT NULL DEFAULT true,
    gated_at     timestamptz NOT NULL DEFAULT now(),
    ungated_at   timestamptz,
    gated_by     text
);

-- docs/pg_trickle.md, "Versions"
CREATE TABLE pgtrickle.pgt_schema_version (
    version     text PRIMARY KEY,
    applied_at  timestamptz NOT NULL DEFAULT now(),
    description text
);
INSERT INTO pgtrickle.pgt_schema_version (version, description) VALUES ('0.19.0', 'Initial schema version tracking');

-- Not in pg_trickle: the last sign of life of the scheduler in this database. One row.
CREATE TABLE pgtrickle._emulator_scheduler (
    beat_at timestamptz
);
INSERT INTO pgtrickle._emulator_scheduler VALUES (NULL);

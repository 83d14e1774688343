-- 70_create: create, create or replace.

-- docs/pg_trickle.md, "Creation and population"
CREATE FUNCTION pgtrickle.create_stream_table(
    name text, query text, schedule text DEFAULT 'calculated', refresh_mode text DEFAULT 'AUTO',
    initialize boolean DEFAULT true, diamond_consistency text DEFAULT NULL, diamond_schedule_policy text DEFAULT NULL,
    cdc_mode text DEFAULT NULL, append_only boolean DEFAULT false, pooler_compatibility_mode boolean DEFAULT false,
    partition_by text DEFAULT NULL, max_differential_joins integer DEFAULT NULL, max_delta_fraction float8 DEFAULT NULL,
    output_distribution_column text DEFAULT NULL, temporal boolean DEFAULT false, storage_backend text DEFAULT NULL,
    sink text DEFAULT NULL, ducklake_sink_path text DEFAULT NULL, ducklake_sink_table_id bigint DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    st pgtrickle.pgt_stream_tables;
    q  pgtrickle._query;
BEGIN
    PERFORM pgtrickle._refuse_unemulated(output_distribution_column, temporal, storage_backend, sink, ducklake_sink_path, ducklake_sink_table_id);
    IF name IS NULL THEN
        RAISE EXCEPTION 'argument 0 must not be null' USING ERRCODE = 'XX000';
    END IF;
    SELECT n.schema_name, n.table_name INTO st.pgt_schema, st.pgt_name FROM pgtrickle._split_name(name) n;
    -- one session at a time creates this name; the second one finds the table
    PERFORM pg_advisory_xact_lock('pgtrickle.pgt_stream_tables'::regclass::oid::int, hashtext(pgtrickle._name(st)));
    st.refresh_mode := pgtrickle._refresh_mode(refresh_mode);
    st.diamond_consistency := coalesce(pgtrickle._one_of('diamond_consistency', diamond_consistency, 'none', 'atomic'), 'atomic');
    st.diamond_schedule_policy := coalesce(pgtrickle._one_of('diamond_schedule_policy', diamond_schedule_policy, 'fastest', 'slowest'), 'fastest');
    st.requested_cdc_mode := pgtrickle._one_of('cdc_mode', cdc_mode, 'auto', 'trigger', 'wal');
    st.schedule := pgtrickle._schedule(schedule);
    PERFORM pgtrickle._refuse_combination(st.refresh_mode, st.requested_cdc_mode, append_only);
    PERFORM pgtrickle._refuse_slow_diamond(st.diamond_consistency, st.diamond_schedule_policy);

    PERFORM pgtrickle._warn_about_star(query);
    q := pgtrickle._understand(query);
    IF (pgtrickle._lookup(name)).pgt_id IS NOT NULL THEN
        RAISE EXCEPTION 'stream table already exists: %', pgtrickle._name(st)
            USING ERRCODE = '42P07',
                  HINT = 'Use pgtrickle.alter_stream_table() to modify an existing stream table, or pgtrickle.drop_stream_table() to remove it first.';
    END IF;
    st.refresh_mode := pgtrickle._resolve_mode(pgtrickle._name(st), st.refresh_mode, q);
    PERFORM pgtrickle._warn_about_moving_values(query);
    PERFORM pgtrickle._warn_about_sources(q);
    IF st.refresh_mode = 'IMMEDIATE' THEN
        st.schedule := NULL;
    ELSIF st.schedule IS NULL THEN
        RAISE NOTICE 'pg_trickle: Stream table "%"."%" uses CALCULATED schedule but has no downstream dependents yet — it will fall back to the default schedule (pg_trickle.default_schedule_seconds = 1s). Add a downstream stream table that references this one to activate the intended schedule.', st.pgt_schema, st.pgt_name;
    END IF;

    st.pgt_relid := pgtrickle._create_storage(st.pgt_schema, st.pgt_name, q, st.refresh_mode, partition_by);
    PERFORM name::regclass;  -- a name that needs quotes is not found, which rejects it
    INSERT INTO pgtrickle.pgt_stream_tables AS s
           (pgt_relid, pgt_name, pgt_schema, defining_query, schedule, refresh_mode, diamond_consistency,
            diamond_schedule_policy, requested_cdc_mode, is_append_only, pooler_compatibility_mode, st_partition_key,
            max_differential_joins, max_delta_fraction)
    VALUES (st.pgt_relid, st.pgt_name, st.pgt_schema, query, st.schedule, st.refresh_mode, st.diamond_consistency,
            st.diamond_schedule_policy, st.requested_cdc_mode, coalesce(append_only, false),
            coalesce(pooler_compatibility_mode, false), nullif(partition_by, ''), max_differential_joins, max_delta_fraction)
    RETURNING s.* INTO st;
    st := pgtrickle._remember_query(st.pgt_id, q);
    PERFORM pgtrickle._depend(st);
    PERFORM pgtrickle._capture_for(st);
    PERFORM pgtrickle._forget();
    IF initialize THEN
        PERFORM pgtrickle._refresh(st, 'INITIAL');
        PERFORM pgtrickle._refuse_duplicated_key(st, q);
    END IF;
    RAISE INFO 'Stream table % created (pgt_id=%, mode=%, initialized=%)', pgtrickle._name(st), st.pgt_id, st.refresh_mode,
               CASE WHEN initialize THEN 'true' ELSE 'false' END;
END $$;

-- Stores a query in the catalog.
-- docs/pg_trickle.md, "Query text"
CREATE FUNCTION pgtrickle._remember_query(id bigint, q pgtrickle._query) RETURNS pgtrickle.pgt_stream_tables LANGUAGE plpgsql AS $$
DECLARE
    st pgtrickle.pgt_stream_tables;
BEGIN
    IF q.topk_limit IS NOT NULL THEN
        RAISE INFO 'pg_trickle: TopK pattern detected (ORDER BY % LIMIT %). The stream table will maintain %.',
                   q.topk_order_by, q.topk_limit || coalesce(' OFFSET ' || q.topk_offset, ''),
                   coalesce('rows ' || q.topk_offset + 1 || '–' || q.topk_offset + q.topk_limit, 'the top ' || q.topk_limit || ' rows');
    END IF;
    UPDATE pgtrickle.pgt_stream_tables
       SET defining_query = q.defining,
           original_query = CASE WHEN q.text <> q.defining THEN q.text END,
           defining_query_hash = hashtextextended(q.defining, 0),
           topk_limit = q.topk_limit, topk_order_by = q.topk_order_by, topk_offset = q.topk_offset,
           functions_used = (SELECT array_agg(DISTINCT f.name ORDER BY f.name) FROM pgtrickle._functions('pg_temp.__pgt_query') f WHERE NOT f.is_operator),
           has_keyless_source = EXISTS (SELECT FROM pgtrickle._sources('pg_temp.__pgt_query') s
                                         WHERE s.kind = 'TABLE' AND pgtrickle._with_key(s.relid, NULL) IS NULL)
     WHERE pgt_id = id
    RETURNING * INTO st;
    RETURN st;
END $$;

CREATE FUNCTION pgtrickle._refuse_unemulated(output_distribution_column text, temporal boolean, storage_backend text,
                                             sink text, ducklake_sink_path text, ducklake_sink_table_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF output_distribution_column IS NOT NULL THEN
        PERFORM pgtrickle._not_emulated('output_distribution_column');
    ELSIF temporal THEN
        PERFORM pgtrickle._not_emulated('temporal stream tables');
    ELSIF storage_backend <> 'heap' THEN
        PERFORM pgtrickle._not_emulated(format('storage_backend => %L', storage_backend));
    ELSIF sink IS NOT NULL OR ducklake_sink_path IS NOT NULL OR ducklake_sink_table_id IS NOT NULL THEN
        PERFORM pgtrickle._not_emulated('sinks');
    END IF;
END $$;

-- docs/pg_trickle.md, "Refresh modes"
CREATE FUNCTION pgtrickle._refuse_combination(mode text, cdc_mode text, append_only boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF mode = 'IMMEDIATE' AND cdc_mode = 'wal' THEN
        PERFORM pgtrickle._invalid('refresh_mode = ''IMMEDIATE'' is incompatible with cdc_mode = ''wal''. IMMEDIATE uses in-transaction IVM triggers; WAL-based CDC is async. Use cdc_mode = ''trigger'' or ''auto'', or choose a deferred refresh_mode.');
    ELSIF append_only AND mode IN ('FULL', 'IMMEDIATE') THEN
        PERFORM pgtrickle._invalid(format('append_only is not supported with %s refresh mode. Use DIFFERENTIAL or AUTO refresh mode.', mode));
    END IF;
END $$;

-- docs/pg_trickle.md, "Alter"
CREATE FUNCTION pgtrickle._refuse_slow_diamond(consistency text, policy text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF consistency = 'none' AND policy = 'slowest' THEN
        PERFORM pgtrickle._invalid('diamond_schedule_policy = ''slowest'' requires diamond_consistency = ''atomic''. The ''slowest'' policy is only meaningful when atomic cross-branch reads are enabled. Set diamond_consistency = ''atomic'' or use diamond_schedule_policy = ''fastest''.');
    END IF;
END $$;

-- As imprecise as pg_trickle's own text search, which stops at the first of these.
-- docs/pg_trickle.md, "Refresh modes"
CREATE FUNCTION pgtrickle._warn_about_moving_values(query text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    word text;
BEGIN
    FOREACH word IN ARRAY '{now(),current_timestamp,current_date,current_time,localtime,clock_timestamp(),random(),gen_random_uuid()}'::text[] LOOP
        IF strpos(lower(query), word) > 0 THEN
            RAISE WARNING 'pg_trickle: defining query contains a volatile/non-deterministic function (''%'') that may produce different results on each refresh. If this is intentional, use FULL refresh mode.', word;
            RETURN;
        END IF;
    END LOOP;
END $$;

-- As imprecise as pg_trickle: any star before the first FROM, also in a product or a comment, is SELECT *.
-- docs/pg_trickle.md, "Query text"
CREATE FUNCTION pgtrickle._warn_about_star(query text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF replace(substring(query FROM '(?i)\mselect\M(.*?)\mfrom\M'), '(*)', '') LIKE '%*%' THEN
        RAISE WARNING 'pg_trickle: defining query uses SELECT *. If source table columns are added or removed, the stream table will require reinitialization. Consider listing columns explicitly for resilience against schema changes.';
    END IF;
END $$;

-- docs/pg_trickle.md, "Query text"
CREATE FUNCTION pgtrickle._warn_about_sources(q pgtrickle._query) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    source pgtrickle._source;
BEGIN
    IF q.is_sorted THEN
        RAISE WARNING 'pg_trickle: ORDER BY without LIMIT has no effect on stream tables — storage row order is undefined. Use ORDER BY with LIMIT for TopK, or remove ORDER BY.';
    END IF;
    FOR source IN SELECT * FROM pgtrickle._sources('pg_temp.__pgt_query') WHERE kind = 'TABLE' ORDER BY relid LOOP
        IF (SELECT relpersistence FROM pg_catalog.pg_class WHERE oid = source.relid) = 't' THEN
            RAISE EXCEPTION 'stream table not found: table ''%'' not found in the current search_path.', source.relid::regclass USING ERRCODE = '42P01';
        ELSIF pgtrickle._with_key(source.relid, NULL) IS NULL THEN
            RAISE WARNING 'pg_trickle: source table % has no PRIMARY KEY. Change detection will use content-based hashing, which is slower for wide tables and cannot distinguish identical duplicate rows. Consider adding a PRIMARY KEY for best performance.',
                          pgtrickle._relation_name(source.relid);
        END IF;
    END LOOP;
END $$;

-- docs/pg_trickle.md, "Creation and population"
CREATE FUNCTION pgtrickle.create_stream_table_if_not_exists(
    name text, query text, schedule text DEFAULT 'calculated', refresh_mode text DEFAULT 'AUTO',
    initialize boolean DEFAULT true, diamond_consistency text DEFAULT NULL, diamond_schedule_policy text DEFAULT NULL,
    cdc_mode text DEFAULT NULL, append_only boolean DEFAULT false, pooler_compatibility_mode boolean DEFAULT false,
    partition_by text DEFAULT NULL, max_differential_joins integer DEFAULT NULL, max_delta_fraction float8 DEFAULT NULL,
    output_distribution_column text DEFAULT NULL, temporal boolean DEFAULT false, storage_backend text DEFAULT NULL,
    sink text DEFAULT NULL, ducklake_sink_path text DEFAULT NULL, ducklake_sink_table_id bigint DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (pgtrickle._lookup(name)).pgt_id IS NOT NULL THEN
        RAISE INFO 'Stream table % already exists — skipping creation.', name;
        RETURN;
    END IF;
    PERFORM pgtrickle.create_stream_table(name, query, schedule, refresh_mode, initialize, diamond_consistency,
        diamond_schedule_policy, cdc_mode, append_only, pooler_compatibility_mode, partition_by, max_differential_joins,
        max_delta_fraction, output_distribution_column, temporal, storage_backend, sink, ducklake_sink_path, ducklake_sink_table_id);
END $$;

-- docs/pg_trickle.md, "Create or replace"
CREATE FUNCTION pgtrickle.create_or_replace_stream_table(
    name text, query text, schedule text DEFAULT 'calculated', refresh_mode text DEFAULT 'AUTO',
    initialize boolean DEFAULT true, diamond_consistency text DEFAULT NULL, diamond_schedule_policy text DEFAULT NULL,
    cdc_mode text DEFAULT NULL, append_only boolean DEFAULT false, pooler_compatibility_mode boolean DEFAULT false,
    partition_by text DEFAULT NULL, max_differential_joins integer DEFAULT NULL, max_delta_fraction float8 DEFAULT NULL,
    output_distribution_column text DEFAULT NULL, temporal boolean DEFAULT false, storage_backend text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    st              pgtrickle.pgt_stream_tables := pgtrickle._lookup(name);
    q               pgtrickle._query;
    new_mode        text;
    new_schedule    text;
    query_changed   boolean;
    schedule_changed boolean;
    mode_changed    boolean;
    config_changed  boolean;
BEGIN
    PERFORM pgtrickle._refuse_unemulated(output_distribution_column, temporal, storage_backend, NULL, NULL, NULL);
    IF st.pgt_id IS NULL THEN
        PERFORM pgtrickle.create_stream_table(name, query, schedule, refresh_mode, initialize, diamond_consistency,
            diamond_schedule_policy, cdc_mode, append_only, pooler_compatibility_mode, partition_by, max_differential_joins, max_delta_fraction);
        RETURN;
    END IF;
    st := pgtrickle._own(name);
    new_mode := pgtrickle._refresh_mode(refresh_mode);
    new_schedule := pgtrickle._schedule(schedule);
    q := pgtrickle._understand(query);
    PERFORM pgtrickle._forget();

    -- White space does not count, nor does a TopK query's LIMIT, which is not part of the defining query.
    query_changed := btrim(regexp_replace(q.defining, '\s+', ' ', 'g')) <> btrim(regexp_replace(st.defining_query, '\s+', ' ', 'g'));
    -- AUTO does not change a DIFFERENTIAL table; ALTER rejects it for any other
    mode_changed := new_mode <> st.refresh_mode AND NOT (new_mode IN ('AUTO', 'INCREMENTAL') AND st.refresh_mode = 'DIFFERENTIAL');
    schedule_changed := new_schedule IS DISTINCT FROM st.schedule AND new_mode <> 'IMMEDIATE';
    -- omitted arguments reset to their defaults, except cdc_mode and diamond_*; the last two are never compared
    config_changed := schedule_changed OR mode_changed
        OR append_only <> st.is_append_only OR pooler_compatibility_mode <> st.pooler_compatibility_mode
        OR lower(cdc_mode) IS DISTINCT FROM coalesce(st.requested_cdc_mode, '') AND cdc_mode IS NOT NULL
        OR coalesce(lower(diamond_consistency), st.diamond_consistency) <> st.diamond_consistency
        OR coalesce(lower(diamond_schedule_policy), st.diamond_schedule_policy) <> st.diamond_schedule_policy;
    IF NOT (query_changed OR config_changed) THEN
        RAISE INFO 'Stream table % already exists with identical definition — no changes made.', pgtrickle._name(st);
        RETURN;
    END IF;
    PERFORM pgtrickle.alter_stream_table(name,
        query => CASE WHEN query_changed THEN query END,
        schedule => CASE WHEN schedule_changed THEN schedule END,
        refresh_mode => CASE WHEN mode_changed THEN new_mode END,
        diamond_consistency => diamond_consistency, diamond_schedule_policy => diamond_schedule_policy,
        cdc_mode => cdc_mode, append_only => append_only, pooler_compatibility_mode => pooler_compatibility_mode,
        max_differential_joins => max_differential_joins, max_delta_fraction => max_delta_fraction);
    RAISE INFO 'Stream table % replaced (query_changed=%, config_changed=%).', pgtrickle._name(st),
               CASE WHEN query_changed THEN 'true' ELSE 'false' END, CASE WHEN config_changed THEN 'true' ELSE 'false' END;
END $$;

-- 75_alter_drop: alter, alter the query, drop.

-- NULL does not change a setting. A table in ERROR becomes ACTIVE, independent of what was altered.
-- docs/pg_trickle.md, "Alter"
CREATE FUNCTION pgtrickle.alter_stream_table(
    name text, query text DEFAULT NULL, schedule text DEFAULT NULL, refresh_mode text DEFAULT NULL, status text DEFAULT NULL,
    diamond_consistency text DEFAULT NULL, diamond_schedule_policy text DEFAULT NULL, cdc_mode text DEFAULT NULL,
    append_only boolean DEFAULT NULL, pooler_compatibility_mode boolean DEFAULT NULL, tier text DEFAULT NULL,
    fuse text DEFAULT NULL, fuse_ceiling bigint DEFAULT NULL, fuse_sensitivity integer DEFAULT NULL,
    partition_by text DEFAULT NULL, max_differential_joins integer DEFAULT NULL, max_delta_fraction float8 DEFAULT NULL,
    post_refresh_action text DEFAULT NULL, reindex_drift_threshold float8 DEFAULT NULL, sink text DEFAULT NULL,
    ducklake_sink_path text DEFAULT NULL, ducklake_sink_table_id bigint DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    st           pgtrickle.pgt_stream_tables;
    new_status   text := upper(status);
    new_mode     text;
    new_tier     text;
    new_cdc      text;
    new_schedule text;
BEGIN
    IF name IS NULL THEN
        RETURN;
    END IF;
    PERFORM pgtrickle._refuse_unemulated(NULL, false, NULL, sink, ducklake_sink_path, ducklake_sink_table_id);
    st := pgtrickle._own(name);
    new_mode := pgtrickle._refresh_mode(refresh_mode);
    new_tier := pgtrickle._one_of('tier', tier, 'hot', 'warm', 'cold', 'frozen');
    new_cdc := pgtrickle._one_of('cdc_mode', cdc_mode, 'auto', 'trigger', 'wal');
    PERFORM pgtrickle._one_of('diamond_consistency', diamond_consistency, 'none', 'atomic'),
            pgtrickle._one_of('diamond_schedule_policy', diamond_schedule_policy, 'fastest', 'slowest'),
            pgtrickle._one_of('fuse', fuse, 'off', 'on', 'auto');
    IF new_status NOT IN ('INITIALIZING', 'ACTIVE', 'SUSPENDED', 'ERROR') THEN
        PERFORM pgtrickle._invalid('unknown status: ' || status);
    END IF;
    IF lower(post_refresh_action) NOT IN ('none', 'analyze', 'reindex', 'reindex_if_drift') THEN
        PERFORM pgtrickle._invalid(format('invalid post_refresh_action ''%s'': expected ''none'', ''analyze'', ''reindex'', or ''reindex_if_drift''', post_refresh_action));
    ELSIF fuse_ceiling <= 0 THEN
        PERFORM pgtrickle._invalid('fuse_ceiling must be a positive integer');
    END IF;
    PERFORM pgtrickle._refuse_combination(coalesce(new_mode, st.refresh_mode), new_cdc, append_only);
    PERFORM pgtrickle._refuse_slow_diamond(lower(coalesce(diamond_consistency, st.diamond_consistency)),
                                           lower(coalesce(diamond_schedule_policy, st.diamond_schedule_policy)));

    IF query IS NOT NULL THEN
        PERFORM pgtrickle._alter_query(st, query);
    END IF;
    IF partition_by IS NOT NULL THEN
        PERFORM pgtrickle._alter_partitions(st, partition_by);
    END IF;
    IF schedule IS NOT NULL THEN
        new_schedule := pgtrickle._schedule(schedule);
        UPDATE pgtrickle.pgt_stream_tables s SET schedule = new_schedule WHERE s.pgt_id = st.pgt_id AND s.refresh_mode <> 'IMMEDIATE';
    END IF;
    IF new_mode <> st.refresh_mode THEN
        PERFORM pgtrickle._alter_mode(st, new_mode);
    END IF;
    UPDATE pgtrickle.pgt_stream_tables s
       SET status = CASE WHEN st.status = 'ERROR' THEN 'ACTIVE' ELSE coalesce(new_status, s.status) END,
           diamond_consistency = coalesce(lower(diamond_consistency), s.diamond_consistency),
           diamond_schedule_policy = coalesce(lower(diamond_schedule_policy), s.diamond_schedule_policy),
           requested_cdc_mode = coalesce(new_cdc, s.requested_cdc_mode),
           is_append_only = coalesce(append_only, s.is_append_only),
           pooler_compatibility_mode = coalesce(pooler_compatibility_mode, s.pooler_compatibility_mode),
           refresh_tier = coalesce(new_tier, s.refresh_tier),
           fuse_mode = coalesce(lower(fuse), s.fuse_mode),
           fuse_ceiling = coalesce(fuse_ceiling, s.fuse_ceiling),
           fuse_sensitivity = coalesce(fuse_sensitivity, s.fuse_sensitivity),
           max_differential_joins = coalesce(max_differential_joins, s.max_differential_joins),
           max_delta_fraction = coalesce(max_delta_fraction, s.max_delta_fraction),
           post_refresh_action = coalesce(lower(post_refresh_action), s.post_refresh_action),
           reindex_drift_threshold = coalesce(reindex_drift_threshold, s.reindex_drift_threshold),
           updated_at = now()
     WHERE s.pgt_id = st.pgt_id;
    IF new_cdc IS NOT NULL THEN
        RAISE INFO 'Stream table % updated requested cdc_mode to %', pgtrickle._name(st), new_cdc;
    END IF;
    IF st.refresh_tier = 'hot' AND new_tier <> 'hot' THEN
        RAISE NOTICE 'stream table % demoted from % to % — %', pgtrickle._name(st), st.refresh_tier, new_tier,
            CASE new_tier WHEN 'frozen' THEN 'refresh is suspended until the tier is changed back'
                          WHEN 'cold' THEN 'effective refresh interval is now 10× the configured schedule'
                          ELSE 'effective refresh interval is now 2× the configured schedule' END;
    END IF;
END $$;

-- AUTO and INCREMENTAL reach this function, and the catalog's constraint rejects them. As in pg_trickle, it does not
-- check whether the query supports the mode.
-- docs/pg_trickle.md, "Alter"
CREATE FUNCTION pgtrickle._alter_mode(st pgtrickle.pgt_stream_tables, new_mode text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    altered pgtrickle.pgt_stream_tables;
BEGIN
    UPDATE pgtrickle.pgt_stream_tables s
       SET refresh_mode = new_mode,
           schedule = CASE WHEN new_mode = 'IMMEDIATE' THEN NULL
                           WHEN st.refresh_mode = 'IMMEDIATE' THEN coalesce(s.schedule, '1m')
                           ELSE s.schedule END
     WHERE s.pgt_id = st.pgt_id RETURNING * INTO altered;
    PERFORM pgtrickle._parse(coalesce(altered.original_query, altered.defining_query));
    PERFORM pgtrickle._change_sources(altered);
    PERFORM pgtrickle._forget();
    PERFORM pgtrickle._refresh_fully(st.pgt_id);
    RAISE WARNING 'pg_trickle: stream table % refresh mode changed from % to %; a full refresh was applied. This may take time on large tables.',
                  pgtrickle._name(st), st.refresh_mode, new_mode;
END $$;

-- Sets the sources to those of the view that _understand() created, and ends the capture of others.
CREATE FUNCTION pgtrickle._change_sources(st pgtrickle.pgt_stream_tables) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before oid[] := array(SELECT source_relid FROM pgtrickle.pgt_dependencies WHERE pgt_id = st.pgt_id);
BEGIN
    PERFORM pgtrickle._depend(st);
    PERFORM pgtrickle._stop_capture(st.pgt_id, before);
    PERFORM pgtrickle._capture_for(st);
END $$;

-- docs/pg_trickle.md, "Changing the query"
CREATE FUNCTION pgtrickle._alter_query(st pgtrickle.pgt_stream_tables, query text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    q        pgtrickle._query := pgtrickle._understand(query);
    changed  pgtrickle.pgt_stream_tables;
    problem  text;
    altering text;
    class    text;
BEGIN
    PERFORM pgtrickle._resolve_mode(pgtrickle._name(st), st.refresh_mode, q);
    changed := pgtrickle._remember_query(st.pgt_id, q);
    PERFORM pgtrickle._change_sources(changed);
    PERFORM pgtrickle._forget();

    SELECT format('column ''%s'' type changed from OID %s to %s (no implicit cast)', c.name, c.type::int, n.type::int)
      INTO problem
      FROM pgtrickle._storage_columns(st.pgt_relid) c
      JOIN (SELECT name, regexp_replace(type, ' COLLATE .*', '')::regtype::oid AS type FROM unnest(q.columns, q.types) AS u (name, type)) n USING (name)
     WHERE c.type <> n.type
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_cast WHERE castsource = c.type AND casttarget = n.type AND castcontext = 'i')
     ORDER BY c.nth LIMIT 1;
    IF problem IS NOT NULL THEN
        class := 'incompatible (full rebuild)';
        RAISE WARNING 'pg_trickle: ALTER QUERY requires full storage rebuild: %. The storage table OID will change.', problem;
        PERFORM pgtrickle._rebuild_storage(changed, q);
    ELSE
        SELECT string_agg(change, ', ' ORDER BY change)
          INTO altering
          FROM (SELECT format('ADD COLUMN %I %s', name, type) AS change
                  FROM unnest(q.columns, q.types) AS u (name, type)
                 WHERE name NOT IN (SELECT c.name FROM pgtrickle._storage_columns(st.pgt_relid) c)
                UNION ALL
                SELECT format('DROP COLUMN %I', c.name)
                  FROM pgtrickle._storage_columns(st.pgt_relid) c WHERE c.name <> ALL (q.columns)) AS changes;
        class := CASE WHEN altering IS NULL THEN 'same' ELSE 'compatible' END;
        IF altering IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %s %s', st.pgt_relid::regclass, altering);
            -- old rows have NULL in a new column, and could equal rows of the query
            PERFORM set_config('pg_trickle.emulator_writes', 'on', true);
            EXECUTE format('DELETE FROM %s', st.pgt_relid::regclass);
            PERFORM set_config('pg_trickle.emulator_writes', 'off', true);
            -- dropping a column drops the index that includes it
            IF NOT EXISTS (SELECT FROM pg_catalog.pg_index WHERE indrelid = st.pgt_relid) THEN
                PERFORM pgtrickle._index_row_id(st.pgt_relid);
            END IF;
        END IF;
    END IF;
    UPDATE pgtrickle.pgt_stream_tables s SET status = 'ACTIVE' WHERE s.pgt_id = st.pgt_id;
    PERFORM pgtrickle._refresh_fully(st.pgt_id);
    SELECT * INTO changed FROM pgtrickle.pgt_stream_tables s WHERE s.pgt_id = st.pgt_id;
    PERFORM pgtrickle._refuse_duplicated_key(changed, q);
    RAISE WARNING 'pg_trickle: stream table % ALTER QUERY applied a full refresh (schema change: %). This may take time on large tables.',
                  pgtrickle._name(st), class;
END $$;

-- docs/pg_trickle.md, "Alter"
CREATE FUNCTION pgtrickle._alter_partitions(st pgtrickle.pgt_stream_tables, key text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    q       pgtrickle._query;
    changed pgtrickle.pgt_stream_tables;
BEGIN
    UPDATE pgtrickle.pgt_stream_tables s SET st_partition_key = nullif(key, '') WHERE s.pgt_id = st.pgt_id RETURNING * INTO changed;
    q := pgtrickle._understand(coalesce(changed.original_query, changed.defining_query));
    PERFORM pgtrickle._forget();
    RAISE WARNING 'pg_trickle: ALTER partition_by on % requires full storage rebuild. The storage table will be recreated and a full refresh applied.', pgtrickle._name(st);
    PERFORM pgtrickle._rebuild_storage(changed, q);
    PERFORM pgtrickle._refresh_fully(st.pgt_id);
    RAISE INFO 'pg_trickle: partition key for % changed to %; full refresh applied.', pgtrickle._name(st), coalesce(nullif(key, ''), '(none)');
END $$;

-- Creates a new table with the old name. Views on the old one, its grants and its indexes are lost.
-- docs/pg_trickle.md, "Changing the query"
CREATE FUNCTION pgtrickle._rebuild_storage(st pgtrickle.pgt_stream_tables, q pgtrickle._query) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- no catalog row may reference the old table during the drop, which would delete the row
    UPDATE pgtrickle.pgt_stream_tables SET pgt_relid = 0 WHERE pgt_id = st.pgt_id;
    EXECUTE format('DROP TABLE %s CASCADE', st.pgt_relid::regclass);
    UPDATE pgtrickle.pgt_stream_tables
       SET pgt_relid = pgtrickle._create_storage(st.pgt_schema, st.pgt_name, q, st.refresh_mode, st.st_partition_key)
     WHERE pgt_id = st.pgt_id;
END $$;

-- docs/pg_trickle.md, "Drop"
CREATE FUNCTION pgtrickle.drop_stream_table(name text, cascade boolean DEFAULT false) RETURNS void LANGUAGE plpgsql STRICT AS $$
DECLARE
    st         pgtrickle.pgt_stream_tables := pgtrickle._own(name);
    dependents text[] := array(SELECT pgtrickle._name(s) FROM pgtrickle.pgt_dependencies d JOIN pgtrickle.pgt_stream_tables s USING (pgt_id)
                                WHERE d.source_relid = st.pgt_relid ORDER BY s.pgt_id);
    dependent  text;
    sources    oid[] := array(SELECT source_relid FROM pgtrickle.pgt_dependencies WHERE pgt_id = st.pgt_id);
BEGIN
    IF cardinality(dependents) > 0 AND NOT cascade THEN
        PERFORM pgtrickle._invalid(format('stream table %s has dependent stream tables: %s. Use cascade => true to drop them automatically.',
                                          pgtrickle._name(st), array_to_string(dependents, ', ')));
    END IF;
    FOREACH dependent IN ARRAY dependents LOOP
        -- in a diamond, an earlier drop may have dropped it
        IF (pgtrickle._lookup(dependent)).pgt_id IS NOT NULL THEN
            PERFORM pgtrickle.drop_stream_table(dependent, true);
        END IF;
    END LOOP;
    PERFORM pgtrickle._drop_buffer('changes_pgt_' || st.pgt_id);
    DELETE FROM pgtrickle.pgt_stream_tables WHERE pgt_id = st.pgt_id;
    PERFORM pgtrickle._stop_capture(st.pgt_id, sources);
    -- the guard function remains, as in pg_trickle
    EXECUTE format('DROP TABLE %s CASCADE', st.pgt_relid::regclass);
    RAISE INFO 'Stream table % dropped (pgt_id=%)', pgtrickle._name(st), st.pgt_id;
END $$;

-- 50_storage: the storage table, and the statement that writes it.

-- docs/pg_trickle.md, "Storage table"
CREATE FUNCTION pgtrickle._create_storage(schema_name text, table_name text, q pgtrickle._query, mode text, partition_key text)
RETURNS oid LANGUAGE plpgsql AS $$
DECLARE
    columns text;
    key     record := pgtrickle._partition_key(partition_key, q.columns);
    guard   text := format('%I.%I', schema_name, '_pgt_guard_' || table_name);
    storage text := format('%I.%I', schema_name, table_name);
BEGIN
    SELECT string_agg(format('%I %s', name, type), ', ' ORDER BY nth)
      INTO columns
      FROM unnest(q.columns, q.types) WITH ORDINALITY AS c (name, type, nth);
    IF q.has_groups AND mode <> 'FULL' THEN
        columns := columns || ', __pgt_count bigint NOT NULL DEFAULT 0';
    END IF;
    EXECUTE format('CREATE TABLE %s (__pgt_row_id bigint, %s)%s', storage, columns,
                   ' PARTITION BY ' || key.strategy || ' (' || quote_ident(key.column_name) || ')');
    IF key.strategy = 'HASH' THEN
        FOR i IN 0..key.partitions - 1 LOOP
            EXECUTE format('CREATE TABLE %I.%I PARTITION OF %s FOR VALUES WITH (MODULUS %s, REMAINDER %s)',
                           schema_name, table_name || '_p' || i, storage, key.partitions, i);
        END LOOP;
    ELSIF key.strategy IS NOT NULL THEN
        EXECUTE format('CREATE TABLE %I.%I PARTITION OF %s DEFAULT', schema_name, table_name || '_default', storage);
    END IF;
    PERFORM pgtrickle._index_row_id(storage::regclass);

    EXECUTE format($fn$CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN
                       RAISE EXCEPTION 'Direct DML on stream table %% is not allowed. Stream tables are maintained automatically by pg_trickle.', TG_TABLE_NAME;
                       END $body$ $fn$, guard);
    -- _write() sets the flag while it writes
    EXECUTE format('CREATE TRIGGER pgt_dml_guard BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW
                    WHEN (current_setting(''pg_trickle.emulator_writes'', true) IS DISTINCT FROM ''on'') EXECUTE FUNCTION %s()', storage, guard);
    EXECUTE format('CREATE TRIGGER pgt_truncate_guard BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s()', storage, guard);
    RETURN storage::regclass;
END $$;

-- 'day', 'LIST:status' or 'HASH:id:4'; three NULLs without partitions.
-- docs/pg_trickle.md, "Storage table"
CREATE FUNCTION pgtrickle._partition_key(key text, available text[], OUT strategy text, OUT column_name text, OUT partitions int)
LANGUAGE plpgsql AS $$
DECLARE
    part text[] := regexp_match(key, '^(?:(LIST|HASH):)?([^:]*)(?::(\d+))?$', 'i');
BEGIN
    IF coalesce(key, '') = '' THEN
        RETURN;
    END IF;
    column_name := btrim(coalesce(part[2], key));
    IF column_name <> ALL (available) THEN
        PERFORM pgtrickle._invalid(format('partition_by column ''%s'' is not in the stream table''s SELECT output. Available columns: %s',
                                          column_name, array_to_string(available, ', ')));
    END IF;
    strategy := upper(coalesce(part[1], 'RANGE'));
    partitions := coalesce(part[3]::int, 4);
END $$;

-- The index includes up to eight columns, as in pg_trickle; it rejects a row that is too wide for an index. A
-- partitioned table cannot have a unique index without its partition key.
-- docs/pg_trickle.md, "Storage table"
CREATE FUNCTION pgtrickle._index_row_id(storage regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    columns text;
BEGIN
    SELECT string_agg(quote_ident(name), ', ' ORDER BY nth) INTO columns
      FROM pgtrickle._storage_columns(storage) HAVING count(*) <= 8;
    EXECUTE format('CREATE %s INDEX ON %s (__pgt_row_id)%s',
                   CASE WHEN (SELECT relkind FROM pg_catalog.pg_class WHERE oid = storage) = 'r' THEN 'UNIQUE' END,
                   storage, ' INCLUDE (' || columns || ')');
END $$;

-- The columns of the storage table that come from the query, in the query's order.
CREATE FUNCTION pgtrickle._storage_columns(relid oid) RETURNS TABLE (name text, type oid, nth smallint) LANGUAGE sql STABLE AS $$
    SELECT attname::text, atttypid, attnum
      FROM pg_catalog.pg_attribute
     WHERE attrelid = relid AND attnum > 0 AND NOT attisdropped AND attname NOT LIKE '\_\_pgt\_%'
$$;

-- Runs the query and makes the storage table equal to its result, in one statement, so that the result, the comparison
-- and the stored snapshot are of the same moment.
--
-- A row's identity is a hash of its content, plus its number among equal rows. So there are no updates, only deletes
-- and inserts. They are logged for the stream tables that read this one.
--
-- The content is hashed as text, so the settings for the text format of values are fixed; a timestamptz is hashed in
-- UTC, because the query uses the session's own time zone.
-- docs/pg_trickle.md, "Refresh and history"
CREATE FUNCTION pgtrickle._write(st pgtrickle.pgt_stream_tables, OUT rows_inserted bigint, OUT rows_deleted bigint, OUT seen pg_snapshot)
LANGUAGE plpgsql
SET datestyle = 'ISO' SET intervalstyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex' AS $$
DECLARE
    buffer  text := pgtrickle._in_changes('changes_pgt_' || st.pgt_id);
    columns text;
    content text;
    log     text := '';
BEGIN
    -- pg_trickle finds its table by name
    IF to_regclass(format('%I.%I', st.pgt_schema, st.pgt_name)) IS DISTINCT FROM st.pgt_relid THEN
        RAISE EXCEPTION 'relation "%" does not exist', pgtrickle._name(st) USING ERRCODE = '42P01';
    END IF;
    SELECT string_agg(quote_ident(name), ', ' ORDER BY nth),
           string_agg(quote_ident(name) || CASE WHEN type = 'timestamptz'::regtype THEN ' AT TIME ZONE ''UTC''' ELSE '' END,
                      ', ' ORDER BY nth)
      INTO columns, content
      FROM pgtrickle._storage_columns(st.pgt_relid);
    IF to_regclass(buffer) IS NOT NULL THEN
        log := format(', log AS (INSERT INTO %s (lsn, action, pk_hash)
                        SELECT pg_current_wal_insert_lsn(), change.* FROM (SELECT ''D'', __pgt_row_id FROM gone
                                                                           UNION ALL SELECT ''I'', __pgt_row_id FROM come) AS change)', buffer);
    END IF;
    PERFORM set_config('pg_trickle.emulator_writes', 'on', true);
    EXECUTE format($sql$
        WITH fresh AS MATERIALIZED (
            SELECT CASE __pgt_nth WHEN 1 THEN __pgt_hash ELSE hashtextextended(__pgt_hash::text, __pgt_nth) END AS __pgt_row_id, %1$s
              FROM (SELECT *, row_number() OVER (PARTITION BY __pgt_hash) AS __pgt_nth
                      FROM (SELECT hashtextextended(ROW(%2$s)::text, 0) AS __pgt_hash, %1$s FROM (%3$s) AS __pgt_query
                           ) AS __pgt_hashed
                   ) AS __pgt_numbered
        ), gone AS (
            DELETE FROM %4$s AS old
             WHERE NOT EXISTS (SELECT FROM fresh WHERE fresh.__pgt_row_id = old.__pgt_row_id)
            RETURNING __pgt_row_id
        ), come AS (
            INSERT INTO %4$s (__pgt_row_id, %1$s%5$s)
            SELECT __pgt_row_id, %1$s%6$s FROM fresh
             WHERE NOT EXISTS (SELECT FROM %4$s AS old WHERE old.__pgt_row_id = fresh.__pgt_row_id)
            RETURNING __pgt_row_id
        )%7$s
        SELECT (SELECT count(*) FROM come), (SELECT count(*) FROM gone), pgtrickle._seen_now()$sql$,
        columns, content, pgtrickle._query_of(st), st.pgt_relid::regclass,
        CASE WHEN pgtrickle._has_count(st.pgt_relid) THEN ', __pgt_count' END,
        CASE WHEN pgtrickle._has_count(st.pgt_relid) THEN ', 1' END, log)
      INTO rows_inserted, rows_deleted, seen;
    PERFORM set_config('pg_trickle.emulator_writes', 'off', true);
END $$;

-- What a refresh runs. Tests replace it by a function with a planted fault.
CREATE FUNCTION pgtrickle._query_of(st pgtrickle.pgt_stream_tables) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(st.original_query, st.defining_query)
$$;

-- The snapshot of this statement, without this transaction: it may later change what it has just read. A snapshot does
-- not list its own transaction, which would look finished as soon as a younger one has ended.
CREATE FUNCTION pgtrickle._seen_now() RETURNS pg_snapshot LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN me IS NULL OR NOT pg_visible_in_snapshot(me, seen) THEN seen
                ELSE format('%s:%s:%s', least(pg_snapshot_xmin(seen), me), pg_snapshot_xmax(seen),
                            (SELECT string_agg(open::text, ',' ORDER BY open)
                               FROM (SELECT pg_snapshot_xip(seen) UNION SELECT me) AS x (open)))::pg_snapshot END
      FROM (SELECT pg_current_snapshot(), pg_current_xact_id_if_assigned()) AS s (seen, me)
$$;

CREATE FUNCTION pgtrickle._has_count(relid oid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = relid AND attname = '__pgt_count' AND NOT attisdropped)
$$;

-- docs/pg_trickle.md, "Storage table"
CREATE FUNCTION pgtrickle._warn_about_default_partition(st pgtrickle.pgt_stream_tables) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    storage text := format('%I.%I', st.pgt_schema, st.pgt_name || '_default');
    strays  bigint;
BEGIN
    IF st.st_partition_key IS NULL OR to_regclass(storage) IS NULL THEN
        RETURN;
    END IF;
    EXECUTE 'SELECT count(*) FROM ' || storage INTO strays;
    IF strays > 0 THEN
        RAISE WARNING 'pg_trickle: PART-WARN: default partition %_default of stream table % contains % row(s). Create explicit named partitions to improve query performance and enable partition pruning.',
                      pgtrickle._name(st), pgtrickle._name(st), strays;
    END IF;
END $$;

-- pg_trickle identifies the rows of a plain projection by its first column, and fails if that is not the key.
-- docs/pg_trickle.md, "Storage table"
CREATE FUNCTION pgtrickle._refuse_duplicated_key(st pgtrickle.pgt_stream_tables, q pgtrickle._query) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    is_duplicated boolean;
BEGIN
    IF q.duplicated_key IS NULL OR st.st_partition_key IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %s GROUP BY %I HAVING count(*) > 1)', st.pgt_relid::regclass, q.duplicated_key)
       INTO is_duplicated;
    IF is_duplicated THEN
        RAISE EXCEPTION 'duplicate key value violates unique constraint "%"', (SELECT indexrelid::regclass FROM pg_catalog.pg_index WHERE indrelid = st.pgt_relid LIMIT 1)
            USING ERRCODE = '23505', DETAIL = 'The primary key is in the output, but not as its first column.';
    END IF;
END $$;

-- Appended to the emulator's script by the tests: a refresh runs its query over copies of its sources, which row triggers
-- keep up to date, with the fault that pg_trickle.emulator_fault names.
CREATE SCHEMA pgtrickle_shadow;
CREATE TABLE pgtrickle_shadow._touched (source oid, id text);
CREATE INDEX ON pgtrickle_shadow._touched (source, id);

-- Insertions and deletions in their order, how far each reader has refreshed, and the rows whose deletion it lost.
CREATE TABLE pgtrickle_shadow._events (seq bigint GENERATED ALWAYS AS IDENTITY, source oid, id text, event text, old jsonb);
CREATE TABLE pgtrickle_shadow._progress (reader bigint, source oid, seq bigint, PRIMARY KEY (reader, source));
CREATE TABLE pgtrickle_shadow._ghosts (reader bigint, source oid, old jsonb);

-- The rows that each transaction wrote, and what each refresh saw.
CREATE TABLE pgtrickle_shadow._writes (source oid, id text, xid xid8);
CREATE TABLE pgtrickle_shadow._refreshes (seen pg_snapshot);

CREATE OR REPLACE FUNCTION pgtrickle._query_of(st pgtrickle.pgt_stream_tables) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    sql    text := coalesce(st.original_query, st.defining_query);
    path   text := current_setting('search_path');
    source pgtrickle._source;
BEGIN
    IF coalesce(current_setting('pg_trickle.emulator_fault', true), '') = '' THEN
        RETURN sql;
    END IF;
    -- As pg_trickle, whose refresh of some queries fails for good after some changes, and with it those of its readers.
    IF current_setting('pg_trickle.emulator_fault') = 'fails_after_delete' AND st.pgt_name IN ('grouped', 'large')
       AND EXISTS (SELECT FROM pgtrickle_shadow._touched WHERE id = 'a deleted item') THEN
        RAISE EXCEPTION 'cannot build the delta of %', st.pgt_name USING ERRCODE = 'XX000';
    END IF;
    EXECUTE 'CREATE TEMPORARY VIEW __faulty AS ' || sql;
    PERFORM set_config('search_path', 'pg_catalog', true);
    sql := rtrim(pg_get_viewdef('pg_temp.__faulty'::regclass), ' ;');
    -- As pg_trickle, whose copy of a materialized view stays as it is.
    FOR source IN SELECT * FROM pgtrickle._sources('pg_temp.__faulty') WHERE kind = 'MATVIEW' AND current_setting('pg_trickle.emulator_fault') = 'keeps_old_views' LOOP
        EXECUTE format('CREATE TABLE IF NOT EXISTS pgtrickle_shadow.%I AS TABLE %s', (SELECT relname FROM pg_class WHERE oid = source.relid), source.relid::regclass);
        sql := replace(sql, source.relid::regclass::text, 'pgtrickle_shadow.' || (SELECT quote_ident(relname) FROM pg_class WHERE oid = source.relid));
    END LOOP;
    FOR source IN SELECT * FROM pgtrickle._sources('pg_temp.__faulty') WHERE kind = 'TABLE' LOOP
        PERFORM pgtrickle_shadow._follow(source.relid);
        sql := replace(sql, source.relid::regclass::text,
                         'pgtrickle_shadow.' || (SELECT quote_ident(relname) FROM pg_class WHERE oid = source.relid));
        IF current_setting('pg_trickle.emulator_fault') = 'compacts_for_one_reader' THEN
            sql := replace(sql, 'pgtrickle_shadow.' || (SELECT relname FROM pg_class WHERE oid = source.relid),
                           pgtrickle_shadow._compact(st.pgt_id, source.relid));
        ELSIF current_setting('pg_trickle.emulator_fault') = 'loses_late_commits' THEN
            sql := replace(sql, 'pgtrickle_shadow.' || (SELECT relname FROM pg_class WHERE oid = source.relid),
                           pgtrickle_shadow._without_late(source.relid));
        END IF;
    END LOOP;
    DROP VIEW pg_temp.__faulty;
    PERFORM set_config('search_path', path, true);
    DELETE FROM pgtrickle_shadow._touched WHERE id <> 'a deleted item';
    RETURN sql;
END $$;

-- As pg_trickle, which removes a row that came and went between two refreshes of one reader from the changes that another
-- reader, which has seen it come, still has to take.
CREATE FUNCTION pgtrickle_shadow._compact(own bigint, of_source oid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    name text := (SELECT relname FROM pg_class WHERE oid = of_source);
    done bigint := coalesce((SELECT seq FROM pgtrickle_shadow._progress WHERE reader = own AND source = of_source), 0);
BEGIN
    INSERT INTO pgtrickle_shadow._ghosts
    SELECT other.reader, of_source, gone.old
      FROM pgtrickle_shadow._events AS gone
      JOIN pgtrickle_shadow._events AS come ON come.source = of_source AND come.id = gone.id AND come.event = 'INSERT' AND come.seq < gone.seq
      JOIN pgtrickle_shadow._progress AS other ON other.source = of_source AND other.reader <> own AND other.seq >= come.seq AND other.seq < gone.seq
     WHERE gone.source = of_source AND gone.event = 'DELETE' AND come.seq > done
       AND NOT EXISTS (SELECT FROM pgtrickle_shadow._ghosts AS g WHERE g.reader = other.reader AND g.source = of_source AND g.old = gone.old);
    INSERT INTO pgtrickle_shadow._progress
    SELECT own, of_source, coalesce(max(seq), 0) FROM pgtrickle_shadow._events WHERE source = of_source
    ON CONFLICT (reader, source) DO UPDATE SET seq = excluded.seq;
    EXECUTE format('CREATE OR REPLACE VIEW pgtrickle_shadow.%1$I AS SELECT * FROM pgtrickle_shadow.%2$I UNION ALL
                    SELECT (jsonb_populate_record(NULL::pgtrickle_shadow.%2$I, old)).* FROM pgtrickle_shadow._ghosts WHERE reader = %3$s AND source = %4$s',
                   name || '_of_' || own, name, own, of_source);
    RETURN format('pgtrickle_shadow.%I', name || '_of_' || own);
END $$;

-- As pg_trickle, which takes a source as read up to the newest change that a refresh has seen, and never again looks for
-- those of transactions that were open then.
CREATE FUNCTION pgtrickle_shadow._without_late(of_source oid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    name text := (SELECT relname FROM pg_class WHERE oid = of_source);
BEGIN
    INSERT INTO pgtrickle_shadow._refreshes VALUES (pg_current_snapshot());
    EXECUTE format('CREATE OR REPLACE VIEW pgtrickle_shadow.%I AS SELECT * FROM pgtrickle_shadow.%I AS s
                     WHERE NOT EXISTS (SELECT FROM pgtrickle_shadow._writes AS w JOIN pgtrickle_shadow._refreshes AS r
                                                     ON w.xid IN (SELECT pg_snapshot_xip(r.seen))
                                        WHERE w.source = %s AND w.id = to_jsonb(s) ->> ''id'')',
                   name || '_in_time', name, of_source);
    RETURN format('pgtrickle_shadow.%I', name || '_in_time');
END $$;

CREATE FUNCTION pgtrickle_shadow._follow(source regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    shadow text := format('pgtrickle_shadow.%I', (SELECT relname FROM pg_class WHERE oid = source));
BEGIN
    IF to_regclass(shadow) IS NULL THEN
        EXECUTE format('CREATE TABLE %s AS TABLE %s', shadow, source);
        EXECUTE format('CREATE TRIGGER pgt_ivm_shadow_b BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION pgtrickle_shadow._propose()', source);
        EXECUTE format('CREATE TRIGGER pgt_ivm_shadow AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION pgtrickle_shadow._apply()', source);
        EXECUTE format('CREATE TRIGGER pgt_ivm_shadow_t AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle_shadow._apply()', source);
    END IF;
END $$;

-- Fires for the rows of an INSERT … ON CONFLICT, too, whichever of both it does with them.
CREATE FUNCTION pgtrickle_shadow._propose() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pgtrickle_shadow._touched VALUES (TG_RELID, 'proposed ' || (to_jsonb(NEW) ->> 'id'));
    RETURN NEW;
END $$;

CREATE FUNCTION pgtrickle_shadow._apply() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    fault  text := coalesce(current_setting('pg_trickle.emulator_fault', true), '');
    -- A row trigger of a partitioned table belongs to its partitions, while they are attached.
    shadow text := format('pgtrickle_shadow.%I', (SELECT relname FROM pg_class WHERE oid = coalesce(pg_partition_root(TG_RELID), TG_RELID)));
    old_row jsonb := CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN to_jsonb(OLD) END;
    new_row jsonb := CASE WHEN TG_OP IN ('INSERT', 'UPDATE') THEN to_jsonb(NEW) END;
    touched text := coalesce(old_row, new_row) ->> 'id';
    left_of_group bigint;
    was_proposed boolean;
    change_lock bigint;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        EXECUTE 'TRUNCATE ' || shadow;
        INSERT INTO pgtrickle_shadow._touched VALUES (TG_RELID, 'truncated ' || pg_current_xact_id());
        RETURN NULL;
    END IF;
    DELETE FROM pgtrickle_shadow._touched WHERE source = TG_RELID AND id = 'proposed ' || touched;
    was_proposed := FOUND;
    IF fault = 'loses_upserts' AND TG_OP = 'UPDATE' AND was_proposed THEN
        RETURN NULL;
    END IF;
    -- The TRUNCATE of a transaction comes after its rows.
    IF fault = 'truncates_last' AND EXISTS (SELECT FROM pgtrickle_shadow._touched
                                             WHERE source = TG_RELID AND id = 'truncated ' || pg_current_xact_id()) THEN
        RETURN NULL;
    END IF;
    -- A kind that goes together with an item of it stays for the other items.
    IF fault = 'misses_pairs_of_deletes' AND TG_OP = 'DELETE' THEN
        IF TG_TABLE_NAME = 'kinds' AND EXISTS (SELECT FROM pgtrickle_shadow._touched WHERE id = 'gone item of ' || (old_row ->> 'kind')) THEN
            RETURN NULL;
        ELSIF TG_TABLE_NAME = 'items' THEN
            INSERT INTO pgtrickle_shadow._touched VALUES (TG_RELID, 'gone item of ' || (old_row ->> 'kind'));
        END IF;
    END IF;
    -- The triggers do not know the source any more once it has another column.
    IF fault = 'loses_new_rows_after_ddl' AND TG_OP = 'INSERT' AND new_row::text LIKE '%"pgtrickle_ci_%' THEN
        RETURN NULL;
    END IF;
    -- Only the first changes of many arrive.
    IF fault = 'loses_bulk' THEN
        INSERT INTO pgtrickle_shadow._touched VALUES (TG_RELID, 'bulk ' || statement_timestamp());
        IF 25 < (SELECT count(*) FROM pgtrickle_shadow._touched WHERE source = TG_RELID AND id = 'bulk ' || statement_timestamp()) THEN
            RETURN NULL;
        END IF;
    END IF;
    IF fault = 'compacts_for_one_reader' AND TG_OP <> 'UPDATE' THEN
        INSERT INTO pgtrickle_shadow._events (source, id, event, old) VALUES (TG_RELID, touched, TG_OP, old_row);
    END IF;
    -- What it keeps of a change outside of tables outlives a rollback to a savepoint: a lock of the session does, too.
    IF fault = 'remembers_rolled_back_changes' THEN
        change_lock := hashtextextended(concat_ws(' ', TG_RELID, touched, pg_current_xact_id()), 0);
        IF EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND objsubid = 1
                                          AND (classid::bigint << 32 | objid::bigint) = change_lock)
           AND NOT EXISTS (SELECT FROM pgtrickle_shadow._touched WHERE source = TG_RELID AND id = concat_ws(' ', 'changed', touched, pg_current_xact_id())) THEN
            RETURN NULL;
        END IF;
        PERFORM pg_advisory_lock(change_lock);
        INSERT INTO pgtrickle_shadow._touched VALUES (TG_RELID, concat_ws(' ', 'changed', touched, pg_current_xact_id()));
    END IF;
    IF fault = 'loses_late_commits' THEN
        INSERT INTO pgtrickle_shadow._writes VALUES (TG_RELID, coalesce(new_row, old_row) ->> 'id', pg_current_xact_id());
    END IF;
    IF fault = 'skips_one_source' AND TG_TABLE_NAME = 'kinds'
       OR fault = 'forgets_deletes' AND TG_OP = 'DELETE' THEN
        RETURN NULL;
    END IF;
    IF fault = 'fails_after_delete' AND TG_OP = 'DELETE' AND TG_TABLE_NAME = 'items' THEN
        INSERT INTO pgtrickle_shadow._touched VALUES (TG_RELID, 'a deleted item');
    END IF;
    IF fault = 'loses_second_change' THEN
        IF EXISTS (SELECT FROM pgtrickle_shadow._touched WHERE source = TG_RELID AND id = touched) THEN
            RETURN NULL;
        END IF;
        INSERT INTO pgtrickle_shadow._touched VALUES (TG_RELID, touched);
    END IF;
    IF old_row IS NOT NULL
       AND NOT (fault = 'counts_moves_twice' AND TG_OP = 'UPDATE' AND old_row -> 'kind' IS DISTINCT FROM new_row -> 'kind')
       AND NOT (fault = 'stale_after_key_change' AND TG_OP = 'UPDATE' AND old_row -> 'id' IS DISTINCT FROM new_row -> 'id') THEN
        -- The source may have a column that its copy does not have.
        IF fault = 'takes_equal_rows_for_one' THEN
            EXECUTE format('DELETE FROM %s AS s WHERE $1 @> to_jsonb(s)', shadow) USING old_row;
        END IF;
        EXECUTE format('DELETE FROM %1$s WHERE ctid = (SELECT min(ctid) FROM %1$s AS s WHERE $1 @> to_jsonb(s))', shadow) USING old_row;
        IF fault = 'drops_last_of_group' AND TG_TABLE_NAME = 'items' THEN
            EXECUTE format('SELECT count(*) FROM %s WHERE kind = $1', shadow) INTO left_of_group USING old_row ->> 'kind';
            IF left_of_group = 1 THEN
                EXECUTE format('DELETE FROM %s WHERE kind = $1', shadow) USING old_row ->> 'kind';
            END IF;
        END IF;
    END IF;
    IF new_row IS NOT NULL AND NOT (fault = 'ignores_null_groups' AND TG_TABLE_NAME = 'items' AND new_row ->> 'kind' IS NULL) THEN
        EXECUTE format('INSERT INTO %1$s SELECT (jsonb_populate_record(NULL::%1$s, $1)).*', shadow) USING new_row;
    END IF;
    -- An item that comes together with its kind counts twice.
    IF fault = 'counts_pairs_twice' AND TG_OP = 'INSERT' THEN
        IF TG_TABLE_NAME = 'items' AND EXISTS (SELECT FROM pgtrickle_shadow._touched WHERE id = 'new kind ' || (new_row ->> 'kind')) THEN
            EXECUTE format('INSERT INTO %1$s SELECT (jsonb_populate_record(NULL::%1$s, $1)).*', shadow) USING new_row;
        ELSIF TG_TABLE_NAME = 'kinds' THEN
            INSERT INTO pgtrickle_shadow._touched VALUES (TG_RELID, 'new kind ' || (new_row ->> 'kind'));
        END IF;
    END IF;
    RETURN NULL;
END $$;

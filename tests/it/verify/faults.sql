-- Appended to the emulator's script by the tests: a refresh runs its query over copies of its sources, which row triggers
-- keep up to date, with the fault that pg_trickle.emulator_fault names.
CREATE SCHEMA pgtrickle_shadow;
CREATE TABLE pgtrickle_shadow._touched (source oid, id text);
CREATE INDEX ON pgtrickle_shadow._touched (source, id);

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
    FOR source IN SELECT * FROM pgtrickle._sources('pg_temp.__faulty') WHERE kind = 'TABLE' LOOP
        PERFORM pgtrickle_shadow._follow(source.relid);
        sql := replace(sql, source.relid::regclass::text,
                         'pgtrickle_shadow.' || (SELECT quote_ident(relname) FROM pg_class WHERE oid = source.relid));
    END LOOP;
    DROP VIEW pg_temp.__faulty;
    PERFORM set_config('search_path', path, true);
    DELETE FROM pgtrickle_shadow._touched WHERE id <> 'a deleted item';
    RETURN sql;
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
    shadow text := format('pgtrickle_shadow.%I', TG_TABLE_NAME);
    old_row jsonb := CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN to_jsonb(OLD) END;
    new_row jsonb := CASE WHEN TG_OP IN ('INSERT', 'UPDATE') THEN to_jsonb(NEW) END;
    touched text := coalesce(old_row, new_row) ->> 'id';
    left_of_group bigint;
    was_proposed boolean;
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
    -- Only the first changes of many arrive.
    IF fault = 'loses_bulk' THEN
        INSERT INTO pgtrickle_shadow._touched VALUES (TG_RELID, 'bulk ' || statement_timestamp());
        IF 25 < (SELECT count(*) FROM pgtrickle_shadow._touched WHERE source = TG_RELID AND id = 'bulk ' || statement_timestamp()) THEN
            RETURN NULL;
        END IF;
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
        EXECUTE format('DELETE FROM %1$s WHERE ctid = (SELECT min(ctid) FROM %1$s AS s WHERE to_jsonb(s) = $1)', shadow) USING old_row;
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

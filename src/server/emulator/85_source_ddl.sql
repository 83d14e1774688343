-- 85_source_ddl: effects of altering or dropping a source.

-- docs/pg_trickle.md, "Source DDL"
CREATE FUNCTION pgtrickle._on_ddl_end() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
    command record;
    readers int;
BEGIN
    -- A renamed column has the type 'table column' and is ignored, as in pg_trickle.
    FOR command IN SELECT objid, object_type FROM pg_event_trigger_ddl_commands() WHERE object_type IN ('table', 'view') LOOP
        PERFORM pgtrickle._notice_partitions(command.objid);
        SELECT count(*) INTO readers FROM pgtrickle.pgt_dependencies
         WHERE source_relid = command.objid
           AND (source_type = 'VIEW' OR source_type = 'TABLE' AND column_snapshot <> pgtrickle._column_snapshot(command.objid));
        IF readers = 0 THEN
            CONTINUE;
        ELSIF command.object_type = 'view' THEN
            UPDATE pgtrickle.pgt_stream_tables SET needs_reinit = true
             WHERE pgt_id IN (SELECT pgt_id FROM pgtrickle.pgt_dependencies WHERE source_relid = command.objid);
            RAISE INFO 'pg_trickle: view % changed, marking % stream table(s) for reinit', pgtrickle._relation_name(command.objid), readers;
        ELSIF pgtrickle._setting_is_on('block_source_ddl') THEN
            RAISE EXCEPTION 'pg_trickle: ALTER TABLE on % blocked — column-affecting DDL is not allowed while pg_trickle.block_source_ddl = true (the default). To proceed: SET pg_trickle.block_source_ddl = false, run the DDL, then run ALTER STREAM TABLE ... to update the defining query, and re-enable: SET pg_trickle.block_source_ddl = true.',
                            pgtrickle._relation_name(command.objid) USING ERRCODE = 'XX000';
        ELSE
            PERFORM pgtrickle._accept_new_columns(command.objid);
        END IF;
    END LOOP;
END $$;

-- A detached or attached partition requires a full refresh. Only their number is compared, and it is remembered when it
-- grows: the first one that is attached after another was detached goes unnoticed.
-- docs/pg_trickle.md, "Change capture"
CREATE FUNCTION pgtrickle._notice_partitions(source oid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    present bigint := (SELECT count(*) FROM pg_catalog.pg_inherits WHERE inhparent = source);
BEGIN
    IF present = (SELECT partitions FROM pgtrickle._known_partitions WHERE source_relid = source) THEN
        RETURN;
    END IF;
    UPDATE pgtrickle._known_partitions SET partitions = greatest(partitions, present) WHERE source_relid = source;
    IF FOUND THEN
        UPDATE pgtrickle.pgt_stream_tables SET needs_reinit = true
         WHERE pgt_id IN (SELECT pgt_id FROM pgtrickle.pgt_dependencies WHERE source_relid = source);
    END IF;
END $$;

-- Whether a changed column of a source fails if there is no buffer.
-- docs/pg_trickle.md, "Source DDL"
CREATE FUNCTION pgtrickle._needs_buffer_for_columns() RETURNS boolean LANGUAGE sql IMMUTABLE RETURN true;

-- A new column is recorded; any other change requires a full refresh of all readers, which may fail.
-- docs/pg_trickle.md, "Source DDL"
CREATE FUNCTION pgtrickle._accept_new_columns(source oid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    d       pgtrickle.pgt_dependencies;
    present jsonb := pgtrickle._column_snapshot(source);
BEGIN
    -- A source that only IMMEDIATE tables read has no buffer to get the column.
    IF pgtrickle._needs_buffer_for_columns()
            AND NOT EXISTS (SELECT FROM pgtrickle.pgt_change_tracking WHERE source_relid = source) THEN
        RAISE EXCEPTION 'relation "%.changes_%" does not exist', pgtrickle._changes_schema(), source USING ERRCODE = '42P01';
    END IF;
    FOR d IN SELECT * FROM pgtrickle.pgt_dependencies WHERE source_relid = source ORDER BY pgt_id LOOP
        IF present @> d.column_snapshot THEN
            RAISE NOTICE 'pg_trickle_ddl_tracker: ALTER TABLE ADD COLUMN on % for ST % — extending change buffer, no reinit needed',
                         pgtrickle._relation_name(source), d.pgt_id;
        ELSE
            UPDATE pgtrickle.pgt_stream_tables SET needs_reinit = true WHERE pgt_id = d.pgt_id;
        END IF;
        UPDATE pgtrickle.pgt_dependencies
           SET column_snapshot = present, schema_fingerprint = encode(sha256(convert_to(present::text, 'UTF8')), 'hex')
         WHERE pgt_id = d.pgt_id AND source_relid = source;
        PERFORM pgtrickle._capture_for(s) FROM pgtrickle.pgt_stream_tables s WHERE s.pgt_id = d.pgt_id;
    END LOOP;
END $$;

-- Dropping a storage table deletes its catalog row and does not affect its readers. Dropping a source puts its direct
-- readers into ERROR.
-- docs/pg_trickle.md, "Source DDL"
CREATE FUNCTION pgtrickle._on_sql_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
    gone oid[] := array(SELECT objid FROM pg_event_trigger_dropped_objects()
                         WHERE classid = 'pg_catalog.pg_class'::regclass AND objsubid = 0);
BEGIN
    DELETE FROM pgtrickle.pgt_stream_tables WHERE pgt_relid = ANY (gone);
    UPDATE pgtrickle.pgt_stream_tables s SET status = 'ERROR'
      FROM pgtrickle.pgt_dependencies d
     WHERE d.pgt_id = s.pgt_id AND d.source_relid = ANY (gone) AND d.source_type <> 'STREAM_TABLE';
END $$;

CREATE EVENT TRIGGER pg_trickle_ddl_tracker ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE', 'CREATE VIEW', 'ALTER VIEW') EXECUTE FUNCTION pgtrickle._on_ddl_end();
CREATE EVENT TRIGGER pg_trickle_drop_tracker ON sql_drop
    WHEN TAG IN ('DROP TABLE', 'DROP VIEW', 'DROP MATERIALIZED VIEW', 'DROP FOREIGN TABLE', 'DROP SCHEMA', 'DROP OWNED')
    EXECUTE FUNCTION pgtrickle._on_sql_drop();

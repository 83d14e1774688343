-- 30_query: what a query reads, returns and is allowed to do.
--
-- PostgreSQL parses: the query becomes a temporary view, and the view's catalog entries (pg_attribute, pg_depend, and
-- the node tree in pg_rewrite) describe it. The errors of an invalid query are PostgreSQL's own.

CREATE TYPE pgtrickle._query AS (
    text            text,      -- as the user wrote it; a refresh runs this
    defining        text,      -- as defining_query shows it: the same, except where pg_trickle rewrites
    columns         text[],
    types           text[],    -- as in CREATE TABLE, without type modifiers
    has_groups      boolean,   -- aggregates, GROUP BY or DISTINCT
    is_volatile     boolean,
    is_stable       boolean,
    only_full       text,      -- why differential maintenance is impossible; NULL if it is possible
    is_sorted       boolean,   -- ORDER BY without LIMIT
    topk_limit      integer,
    topk_order_by   text,
    topk_offset     integer,
    duplicated_key  text       -- the first column, if it precedes a primary key that should come first
);

CREATE TYPE pgtrickle._source AS (
    relid   oid,
    kind    text,              -- pgt_dependencies.source_type
    columns text[]
);

-- The relations that a view reads. A view among them is a source, and so are the relations that it reads.
-- docs/pg_trickle.md, "Dependencies"
CREATE FUNCTION pgtrickle._sources(root regclass) RETURNS SETOF pgtrickle._source LANGUAGE sql STABLE AS $$
    WITH RECURSIVE reads (relid, attnum, relkind) AS (
        SELECT d.refobjid, d.refobjsubid, c.relkind
          FROM pg_catalog.pg_rewrite r
          JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
           AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'n'
          JOIN pg_catalog.pg_class c ON c.oid = d.refobjid
         WHERE r.ev_class = root
        UNION
        SELECT d.refobjid, d.refobjsubid, c.relkind
          FROM reads
          JOIN pg_catalog.pg_rewrite r ON r.ev_class = reads.relid AND reads.relkind = 'v'
          JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
           AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'n'
          JOIN pg_catalog.pg_class c ON c.oid = d.refobjid
    )
    SELECT reads.relid,
           CASE WHEN s.pgt_id IS NOT NULL THEN 'STREAM_TABLE'
                WHEN reads.relkind = 'v' THEN 'VIEW'
                WHEN reads.relkind = 'm' THEN 'MATVIEW'
                WHEN reads.relkind = 'f' THEN 'FOREIGN_TABLE'
                ELSE 'TABLE' END,
           array_agg(a.attname::text ORDER BY a.attname) FILTER (WHERE a.attnum > 0)
      FROM reads
      LEFT JOIN pgtrickle.pgt_stream_tables s ON s.pgt_relid = reads.relid
      LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = reads.relid AND a.attnum = reads.attnum
     WHERE reads.relkind IN ('r', 'p', 'v', 'm', 'f') AND reads.relid <> root
     GROUP BY reads.relid, reads.relkind, s.pgt_id
$$;

-- The functions that a view calls, including those of operators and of source views, with their volatility.
CREATE FUNCTION pgtrickle._functions(root regclass)
RETURNS TABLE (name text, volatility "char", is_operator boolean) LANGUAGE sql STABLE AS $$
    SELECT DISTINCT p.proname::text, p.provolatile, call[1] = 'opno'
      FROM pg_catalog.pg_rewrite r
     CROSS JOIN LATERAL regexp_matches(r.ev_action::text, ':(funcid|opno|aggfnoid|winfnoid) (\d+)', 'g') AS call
      LEFT JOIN pg_catalog.pg_operator o ON call[1] = 'opno' AND o.oid = call[2]::oid
      JOIN pg_catalog.pg_proc p ON p.oid = CASE WHEN call[1] = 'opno' THEN o.oprcode ELSE call[2]::oid END
     WHERE r.ev_class = root
        OR r.ev_class IN (SELECT relid FROM pgtrickle._sources(root) WHERE kind = 'VIEW')
$$;

-- Creates the view pg_temp.__pgt_query from the query and returns its node tree. _forget() drops the view.
-- docs/pg_trickle.md, "Query text"
CREATE FUNCTION pgtrickle._parse(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    probe refcursor;
BEGIN
    IF query IS NULL THEN
        RAISE EXCEPTION 'argument 1 must not be null' USING ERRCODE = 'XX000';
    ELSIF query !~ '\S' THEN
        PERFORM pgtrickle._bad_query('raw_parser returned NULL');
    END IF;
    -- A cursor accepts exactly one statement, which must return rows; opening it only plans. After that the text is
    -- known to be balanced, so it cannot escape from the parentheses below. They make a trailing semicolon or an
    -- unterminated comment an error.
    BEGIN
        OPEN probe FOR EXECUTE query;
        CLOSE probe;
    EXCEPTION WHEN invalid_cursor_definition THEN
        PERFORM pgtrickle._bad_query(CASE WHEN SQLERRM LIKE '%multi-query%' THEN 'Expected 1 statement, got 2'
                                          ELSE 'Defining query returns no columns' END);
    END;
    PERFORM pgtrickle._forget();
    EXECUTE 'CREATE TEMPORARY VIEW __pgt_query AS (' || query || ')';
    RETURN (SELECT ev_action FROM pg_catalog.pg_rewrite WHERE ev_class = 'pg_temp.__pgt_query'::regclass);
END $$;

CREATE FUNCTION pgtrickle._forget() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('pg_temp.__pgt_query') IS NOT NULL THEN
        DROP VIEW pg_temp.__pgt_query;
    END IF;
END $$;

-- Rejects what no refresh mode accepts. "ending" is the part of the node tree with GROUP BY, DISTINCT, ORDER BY and
-- LIMIT of the outermost SELECT.
-- docs/pg_trickle.md, "Errors"
CREATE FUNCTION pgtrickle._refuse_query(tree text, ending text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    catalog name;
BEGIN
    -- pg_depend, which _sources() reads, does not mention system catalogs
    SELECT c.relname INTO catalog
      FROM regexp_matches(tree, ':relid (\d+)', 'g') AS relid
      JOIN pg_catalog.pg_class c ON c.oid = relid[1]::oid AND c.relnamespace = 'pg_catalog'::regnamespace
     LIMIT 1;
    IF catalog IS NOT NULL THEN
        RAISE EXCEPTION 'permission denied: "%" is a system catalog', catalog USING ERRCODE = '42501';
    ELSIF NOT EXISTS (SELECT FROM pgtrickle._sources('pg_temp.__pgt_query')) THEN
        PERFORM pgtrickle._bad_query(CASE WHEN tree ~ ':functions \(' THEN 'Defining query references no tables'
            ELSE 'Defining query must have a FROM clause (op=0, all=false, larg_null=true, rarg_null=true, target_len=1, where_null=true)' END);
    ELSIF ending ~ ':limitCount \{' AND ending !~ ':sortClause \(' THEN
        PERFORM pgtrickle._unsupported('LIMIT is not supported in defining queries without ORDER BY. Use ORDER BY + LIMIT for TopK stream tables, or omit LIMIT to materialize the full result set.');
    ELSIF ending ~ ':limitOffset \{' AND ending !~ ':limitCount \{' THEN
        PERFORM pgtrickle._unsupported('OFFSET is not supported in defining queries without ORDER BY + LIMIT. Use ORDER BY + LIMIT + OFFSET for paged TopK stream tables, or omit OFFSET to materialize the full result set.');
    END IF;
END $$;

-- The position of the sampling method in the query, in pg_trickle's format.
CREATE FUNCTION pgtrickle._sample_position(query text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('line %s, column %s', array_length(lines, 1), length(lines[array_length(lines, 1)]) + 1)
      FROM string_to_array(substring(query FROM '(?i)^(.*\mtablesample\M\s+)'), E'\n') AS lines
$$;

-- Why differential maintenance is impossible; NULL if it is possible.
-- docs/pg_trickle.md, "Refresh modes"
CREATE FUNCTION pgtrickle._only_full(query text, tree text, ending text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE
        WHEN tree ~ ':tablesample \{' THEN
            format('TABLESAMPLE at %s is not supported in defining queries. Stream tables materialize the complete result set; use a WHERE condition with random() if sampling is needed.', pgtrickle._sample_position(query))
        WHEN tree ~ ':hasForUpdate true' THEN
            'FOR UPDATE/FOR SHARE is not supported in defining queries. Stream tables do not support row-level locking. Remove the FOR UPDATE/FOR SHARE clause.'
        WHEN polled.relid IS NOT NULL THEN
            format('%s ''%s'' cannot be used as a source in DIFFERENTIAL mode.',
                   CASE polled.kind WHEN 'MATVIEW' THEN 'Materialized view' ELSE 'Foreign table' END, pgtrickle._relation_name(polled.relid))
        WHEN left(tree, -length(ending)) ~ ':(limitCount|limitOffset) \{' THEN
            'LIMIT is not supported in the DVM pipeline. Use ORDER BY + LIMIT for TopK stream tables.' END
      FROM (VALUES (true)) AS always
      LEFT JOIN (SELECT * FROM pgtrickle._sources('pg_temp.__pgt_query')
                  WHERE kind IN ('MATVIEW', 'FOREIGN_TABLE') AND NOT pgtrickle._is_polled(kind) LIMIT 1) AS polled ON true
$$;

-- Whether sources of this kind are compared with a copy.
-- docs/pg_trickle.md, "Materialized views and foreign tables"
CREATE FUNCTION pgtrickle._is_polled(kind text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT pgtrickle._setting(CASE kind WHEN 'MATVIEW' THEN 'matview_polling' WHEN 'FOREIGN_TABLE' THEN 'foreign_table_polling' END, 'off')
           IN ('on', 'true')
$$;

-- Splits a TopK query before its ORDER BY. PostgreSQL has parsed the text already, so the last ORDER BY is the right
-- one.
-- docs/pg_trickle.md, "Query text"
CREATE FUNCTION pgtrickle._split_topk(query text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    parts text[] := regexp_match(query, '^(.*)\morder\s+by\M\s*(.*?)\s*(?:\mlimit\s+(\d+)(?:\s+offset\s+(\d+))?|\mfetch\s+(?:first|next)\s+(\d+)\s+rows?\s+only)\s*$', 'i');
BEGIN
    IF parts IS NULL THEN
        PERFORM pgtrickle._unsupported('LIMIT in defining queries must be a constant integer (e.g., LIMIT 100). Dynamic expressions like LIMIT (SELECT ...) are not supported for TopK stream tables.');
    END IF;
    RETURN parts;
END $$;

-- Analyses a query. The view of _parse() remains for _sources(); the caller must call _forget().
-- docs/pg_trickle.md, "Query text"
CREATE FUNCTION pgtrickle._understand(query text) RETURNS pgtrickle._query LANGUAGE plpgsql AS $$
DECLARE
    q      pgtrickle._query;
    tree   text := pgtrickle._parse(query);
    ending text := substring(tree FROM '.* (:groupClause .*)$');
    topk   text[];
BEGIN
    PERFORM pgtrickle._refuse_query(tree, ending);
    q.text := query;
    q.defining := query;
    SELECT array_agg(attname::text ORDER BY attnum),
           array_agg(format_type(atttypid, NULL) || CASE WHEN attcollation NOT IN (0, t.typcollation)
                                                         THEN ' COLLATE ' || attcollation::regcollation ELSE '' END
                     ORDER BY attnum)
      INTO q.columns, q.types
      FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
     WHERE attrelid = 'pg_temp.__pgt_query'::regclass AND attnum > 0;
    SELECT coalesce(bool_or(volatility = 'v'), false),
           coalesce(bool_or(volatility = 's'), false) OR tree ~ '\{SQLVALUEFUNCTION '
      INTO q.is_volatile, q.is_stable FROM pgtrickle._functions('pg_temp.__pgt_query');
    q.has_groups := tree ~ '^\(\{QUERY [^({]*:hasAggs true' OR ending ~ '^:groupClause \(|:distinctClause \(';
    q.is_sorted := ending ~ ':sortClause \(' AND ending !~ ':(limitCount|distinctClause) [({]';
    q.only_full := pgtrickle._only_full(query, tree, ending);

    IF ending ~ ':limitCount \{' THEN
        topk := pgtrickle._split_topk(query);
        q.defining := rtrim(topk[1], E' \t\r\n');
        q.topk_order_by := topk[2];
        q.topk_limit := coalesce(topk[3], topk[5])::int;
        q.topk_offset := topk[4]::int;
    ELSIF tree ~ ':hasDistinctOn true|:groupingSets \(' OR
          EXISTS (SELECT FROM pgtrickle._sources('pg_temp.__pgt_query') WHERE kind = 'VIEW') THEN
        q.defining := btrim(pg_get_viewdef('pg_temp.__pgt_query'::regclass), ' ;');
    END IF;
    IF pgtrickle._key_is_not_first(tree, ending) THEN
        q.duplicated_key := q.columns[1];
    END IF;
    RETURN q;
END $$;

-- A plain projection of one table that returns another column before its primary key.
-- docs/pg_trickle.md, "Storage table"
CREATE FUNCTION pgtrickle._key_is_not_first(tree text, ending text) RETURNS boolean LANGUAGE sql AS $$
    SELECT coalesce(bool_and(kind = 'TABLE' AND NOT pgtrickle._outputs(tree, i.indkey[0], 1)
                             AND (SELECT bool_and(pgtrickle._outputs(tree, k, NULL)) FROM unnest(i.indkey::int2[]) AS k)), false)
           AND count(*) = 1
           AND tree !~ '^\(\{QUERY [^({]*:(hasAggs|hasWindowFuncs|hasDistinctOn) true'
           AND ending !~ ':(groupClause|distinctClause|limitCount|setOperations) [({]'
      FROM pgtrickle._sources('pg_temp.__pgt_query') s
      LEFT JOIN pg_catalog.pg_index i ON i.indrelid = s.relid AND i.indisprimary
$$;

-- Whether the outermost SELECT returns this column unchanged, at this position (at any position for NULL).
CREATE FUNCTION pgtrickle._outputs(tree text, attnum int, place int) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT tree ~ format('\{TARGETENTRY :expr \{VAR :varno \d+ :varattno %s [^{}]*\} :resno %s :resname',
                         attnum, coalesce(place::text, '\d+'))
$$;

-- docs/pg_trickle.md, "Refresh modes"
CREATE FUNCTION pgtrickle._downgrade_reason(only_full text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format(CASE WHEN only_full ~ '^(TABLESAMPLE|FOR UPDATE)' THEN E'unsupported construct in defining query.\nConstruct: %s'
                       WHEN only_full LIKE 'LIMIT%' THEN 'query cannot use differential maintenance (%s).'
                       ELSE 'query references materialized views or foreign tables (%s).' END,
                  'unsupported operator for DIFFERENTIAL mode: ' || only_full)
$$;

-- AUTO means DIFFERENTIAL if possible, otherwise FULL. AUTO is never stored.
-- docs/pg_trickle.md, "Refresh modes"
CREATE FUNCTION pgtrickle._resolve_mode(name text, requested text, q pgtrickle._query) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF requested = 'FULL' THEN
        RETURN 'FULL';
    ELSIF q.is_volatile THEN
        PERFORM pgtrickle._unsupported('Defining query contains volatile expressions (e.g., random(), clock_timestamp(), or custom volatile operators). Volatile functions and operators are not supported in DIFFERENTIAL or IMMEDIATE mode because they produce different values on each evaluation, breaking delta computation. Use FULL refresh mode instead, or replace with a deterministic alternative.');
    ELSIF q.only_full IS NOT NULL AND requested = 'AUTO' THEN
        RAISE WARNING '[pg_trickle] Falling back to FULL refresh: %', pgtrickle._downgrade_reason(q.only_full);
        RAISE WARNING '[pg_trickle] Stream table ''%'' will use FULL refresh instead of DIFFERENTIAL. Each refresh will recompute the entire result set from scratch, which is slower than incremental maintenance. See the warnings above for the specific reason and how to fix it. Use SELECT * FROM pgtrickle.explain_refresh_mode(''%'') to check the effective mode after the first refresh.', name, name;
        RETURN 'FULL';
    ELSIF q.only_full IS NOT NULL THEN
        PERFORM pgtrickle._unsupported(q.only_full);
    ELSIF q.is_stable THEN
        RAISE WARNING 'Defining query contains stable functions (e.g., now(), current_timestamp). These return the same value within a single refresh but may shift between refreshes. Delta computation is correct within each refresh cycle.';
    END IF;
    RETURN CASE requested WHEN 'IMMEDIATE' THEN 'IMMEDIATE' ELSE 'DIFFERENTIAL' END;
END $$;

-- Rewrites the dependency rows of a stream table, from the view that _understand() created.
-- docs/pg_trickle.md, "Dependencies"
CREATE FUNCTION pgtrickle._depend(st pgtrickle.pgt_stream_tables) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    source   pgtrickle._source;
    snapshot jsonb;
    -- FULL and TopK tables do not record which columns they read
    says_columns boolean := st.refresh_mode <> 'FULL' AND st.topk_limit IS NULL;
BEGIN
    PERFORM pgtrickle._refuse_cycle(st);
    DELETE FROM pgtrickle.pgt_dependencies WHERE pgt_id = st.pgt_id;
    FOR source IN SELECT * FROM pgtrickle._sources('pg_temp.__pgt_query') ORDER BY relid LOOP
        snapshot := CASE WHEN source.kind = 'TABLE' THEN pgtrickle._column_snapshot(source.relid) END;
        INSERT INTO pgtrickle.pgt_dependencies
               (pgt_id, source_relid, source_type, columns_used, column_snapshot, schema_fingerprint, source_stable_name)
        VALUES (st.pgt_id, source.relid, source.kind,
                CASE WHEN says_columns AND source.kind <> 'VIEW' THEN pgtrickle._with_key(source.relid, source.columns) END,
                snapshot, encode(sha256(convert_to(snapshot::text, 'UTF8')), 'hex'),
                CASE WHEN source.kind = 'TABLE' THEN pgtrickle._stable_name(source.relid) END);
    END LOOP;
END $$;

-- docs/pg_trickle.md, "Errors"
CREATE FUNCTION pgtrickle._refuse_cycle(st pgtrickle.pgt_stream_tables) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    circle text;
BEGIN
    -- upstream from the new sources; UNION stops at visited ones
    WITH RECURSIVE above (pgt_id) AS (
        SELECT s.pgt_id FROM pgtrickle._sources('pg_temp.__pgt_query') q
          JOIN pgtrickle.pgt_stream_tables s ON s.pgt_relid = q.relid
        UNION
        SELECT s.pgt_id FROM above
          JOIN pgtrickle.pgt_dependencies d ON d.pgt_id = above.pgt_id AND above.pgt_id <> st.pgt_id
          JOIN pgtrickle.pgt_stream_tables s ON s.pgt_relid = d.source_relid)
    SELECT string_agg(pgtrickle._name(s), ' -> ' ORDER BY s.pgt_id)
      INTO circle
      FROM pgtrickle.pgt_stream_tables s
     WHERE s.pgt_id IN (SELECT pgt_id FROM above)
       AND st.pgt_id IN (SELECT pgt_id FROM above);
    IF circle IS NOT NULL THEN
        RAISE EXCEPTION 'cycle detected in dependency graph: %', circle
            USING ERRCODE = '42P15',
                  DETAIL = 'Stream tables form a directed acyclic graph (DAG). Adding this stream table would introduce a cycle, which is not allowed.',
                  HINT = 'Review the defining query and ensure it does not reference any stream table that transitively depends on this table. Use pgtrickle.pgt_dependencies to inspect the current dependency graph.';
    END IF;
END $$;

-- docs/pg_trickle.md, "Source DDL"
CREATE FUNCTION pgtrickle._column_snapshot(relid oid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_agg(jsonb_build_object('name', attname, 'type', format_type(atttypid, atttypmod)) ORDER BY attnum)
      FROM pg_catalog.pg_attribute
     WHERE attrelid = relid AND attnum > 0 AND NOT attisdropped
$$;

-- These columns and the primary key of a table, sorted.
CREATE FUNCTION pgtrickle._with_key(relid oid, columns text[]) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(name ORDER BY name)
      FROM (SELECT unnest(columns)
            UNION
            SELECT a.attname::text
              FROM pg_catalog.pg_index i
              JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
             WHERE i.indrelid = relid AND i.indisprimary) AS used (name)
$$;

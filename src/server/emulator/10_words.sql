-- 10_words: names, schedules and arguments; their errors; versions and hashes.

-- docs/pg_trickle.md, "Versions"
CREATE FUNCTION pgtrickle.version() RETURNS text LANGUAGE sql IMMUTABLE STRICT
RETURN '0.67.0-emulator'::text;

-- docs/pg_trickle.md, "Versions"
CREATE FUNCTION pgtrickle.version_check() RETURNS text LANGUAGE sql STRICT AS $$
    SELECT json_build_object(
        'library_version', pgtrickle.version(),
        'extension_version', extversion,
        'pg_version', pg_catalog.version(),
        'version_match', extversion = pgtrickle.version())::text
      FROM pg_catalog.pg_extension WHERE extname = 'pg_trickle'
$$;

-- docs/pg_trickle.md, "Storage table"
CREATE FUNCTION pgtrickle.pg_trickle_hash(input text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_catalog.hashtextextended(coalesce(input, ''), 0)
$$;

-- docs/pg_trickle.md, "Errors"
CREATE FUNCTION pgtrickle._invalid(problem text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'invalid argument: %', problem
        USING ERRCODE = '22023', HINT = 'See docs/SQL_REFERENCE.md for valid parameter values and syntax.';
END $$;

-- docs/pg_trickle.md, "Errors"
CREATE FUNCTION pgtrickle._bad_query(problem text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'query parse error: %', problem
        USING ERRCODE = '42000',
              DETAIL = 'The defining query could not be validated or rewritten. This can happen when the query references objects that do not exist yet, uses types incompatible with the storage schema, or triggers a validation check.',
              HINT = 'Verify the query runs successfully as a standalone SELECT before creating the stream table. Check that all referenced tables and columns exist.';
END $$;

-- docs/pg_trickle.md, "Errors"
CREATE FUNCTION pgtrickle._unsupported(problem text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'unsupported operator for DIFFERENTIAL mode: %', problem
        USING ERRCODE = '0A000',
              DETAIL = 'DIFFERENTIAL mode supports SELECT, WHERE, simple JOINs (INNER/LEFT/RIGHT), GROUP BY, HAVING, ORDER BY, and LIMIT. CTEs (WITH …), FULL OUTER JOINs, window functions without a writable equivalent, and certain aggregate forms are not supported.',
              HINT = 'Use refresh_mode = ''FULL'' or refresh_mode = ''AUTO'' to handle queries that contain unsupported constructs. AUTO will try DIFFERENTIAL first and fall back to FULL when needed.';
END $$;

-- Not a message of pg_trickle: the emulator does not support this feature.
CREATE FUNCTION pgtrickle._not_emulated(feature text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the pg_trickle emulator does not support %', feature
        USING ERRCODE = '0A000', HINT = 'Run against a server with the real pg_trickle extension.';
END $$;

-- Splits at the first dot, without quoting or case folding.
-- docs/pg_trickle.md, "Names"
CREATE FUNCTION pgtrickle._split_name(name text, OUT schema_name text, OUT table_name text) LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN strpos(name, '.') > 0 THEN split_part(name, '.', 1) ELSE current_schema()::text END,
           substr(name, strpos(name, '.') + 1)
$$;

-- docs/pg_trickle.md, "Names"
CREATE FUNCTION pgtrickle._lookup(name text) RETURNS pgtrickle.pgt_stream_tables LANGUAGE sql STABLE AS $$
    SELECT s.*
      FROM pgtrickle._split_name(name) n
      JOIN pgtrickle.pgt_stream_tables s ON s.pgt_schema = n.schema_name AND s.pgt_name = n.table_name
$$;

-- docs/pg_trickle.md, "Errors"
CREATE FUNCTION pgtrickle._find(name text) RETURNS pgtrickle.pgt_stream_tables LANGUAGE plpgsql AS $$
DECLARE
    st pgtrickle.pgt_stream_tables := pgtrickle._lookup(name);
BEGIN
    IF st.pgt_id IS NULL THEN
        RAISE EXCEPTION 'stream table not found: %', name
            USING ERRCODE = '42P01',
                  HINT = 'Use pgtrickle.pgt_status() to list existing stream tables. Ensure the name is schema-qualified (e.g., ''public.my_table'').';
    END IF;
    RETURN st;
END $$;

-- Returns the row, locked: two sessions never change the same definition at once.
-- docs/pg_trickle.md, "Privileges"
CREATE FUNCTION pgtrickle._own(name text) RETURNS pgtrickle.pgt_stream_tables LANGUAGE plpgsql AS $$
DECLARE
    st pgtrickle.pgt_stream_tables := pgtrickle._find(name);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_class
                    WHERE oid = st.pgt_relid AND NOT pg_has_role(relowner, 'USAGE')) THEN
        PERFORM FROM pgtrickle.pgt_stream_tables WHERE pgt_id = st.pgt_id FOR UPDATE;
        RETURN pgtrickle._find(name);  -- again: the holder of the lock may have changed or dropped it
    END IF;
    RAISE EXCEPTION 'permission denied: must be owner of stream table %', pgtrickle._name(st)
        USING ERRCODE = '42501',
              HINT = 'Only the owner of the stream table''s storage table (or a superuser) can drop or alter the stream table.';
END $$;

-- The name in messages.
CREATE FUNCTION pgtrickle._name(st pgtrickle.pgt_stream_tables) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT st.pgt_schema || '.' || st.pgt_name
$$;

-- schema.table of any relation, or its OID after it was dropped.
CREATE FUNCTION pgtrickle._relation_name(relid oid) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT n.nspname || '.' || c.relname
                       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                      WHERE c.oid = relid), relid::text)
$$;

-- A setting that pg_trickle registers. Here it is a placeholder, which may be missing or have any value.
CREATE FUNCTION pgtrickle._setting(name text, fallback text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('pg_trickle.' || name, true), ''), fallback)
$$;

CREATE FUNCTION pgtrickle._setting_is_on(name text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT lower(pgtrickle._setting(name, 'on')) IN ('on', 'true', 'yes', '1')
$$;

-- A schedule with a blank or a leading @ is a cron expression; all others are durations.
-- docs/pg_trickle.md, "Schedules"
CREATE FUNCTION pgtrickle._is_cron(schedule text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT schedule ~ '^@|\s'
$$;

-- docs/pg_trickle.md, "Schedules"
CREATE FUNCTION pgtrickle.parse_duration_seconds(input text) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE
        WHEN btrim(input) ~ '^\d+$' THEN btrim(input)::bigint
        WHEN btrim(input) ~ '^(\d+[smhdw])+$' THEN (
            SELECT sum(part[1]::bigint * CASE part[2] WHEN 's' THEN 1 WHEN 'm' THEN 60 WHEN 'h' THEN 3600
                                                      WHEN 'd' THEN 86400 ELSE 604800 END)::bigint
              FROM regexp_matches(btrim(input), '(\d+)([smhdw])', 'g') AS part)
    END
$$;

-- docs/pg_trickle.md, "Schedules"
CREATE FUNCTION pgtrickle._check_cron(schedule text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    fields text[] := regexp_split_to_array(schedule, '\s+');
    -- the highest number of each field: [second] minute hour day month weekday
    highest int[] := '{59,59,23,31,12,7}';
    number  text;
BEGIN
    IF schedule ~* '^@(yearly|annually|monthly|weekly|daily|midnight|hourly)$' THEN
        RETURN;
    END IF;
    IF schedule LIKE '@%' THEN
        PERFORM pgtrickle._invalid(format('invalid cron expression ''%s'': Invalid pattern: Pattern must have between 5 and 7 fields.', schedule));
    ELSIF cardinality(fields) NOT IN (5, 6) THEN
        PERFORM pgtrickle._invalid(format('invalid cron expression ''%s'': expected 5 or 6 fields, got %s',
                                          schedule, cardinality(fields)));
    END IF;
    FOR i IN 1..cardinality(fields) LOOP
        FOR number IN SELECT m[1] FROM regexp_matches(fields[i], '\d+', 'g') AS m LOOP
            IF number::numeric > highest[i + 6 - cardinality(fields)] THEN
                PERFORM pgtrickle._invalid(format('invalid cron expression ''%s'': Component error: Number out of bounds.',
                                                  schedule));
            END IF;
        END LOOP;
        IF regexp_replace(fields[i], '(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)', '0', 'gi') !~* '^[\dlw*/,?#-]+$' THEN
            PERFORM pgtrickle._invalid(format('invalid cron expression ''%s'': Pattern contains illegal characters: %s', schedule, fields[i]));
        END IF;
    END LOOP;
END $$;

-- The schedule as the catalog stores it: trimmed, and NULL for 'calculated'.
-- docs/pg_trickle.md, "Schedules"
CREATE FUNCTION pgtrickle._schedule(schedule text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    trimmed text := btrim(schedule, E' \t\r\n');
    minimum bigint := pgtrickle._setting('min_schedule_seconds', '1')::bigint;
    unit    text;
BEGIN
    IF trimmed IS NULL THEN
        PERFORM pgtrickle._invalid('use ''calculated'' instead of NULL to set CALCULATED schedule');
    ELSIF lower(trimmed) = 'calculated' THEN
        RETURN NULL;
    ELSIF trimmed = '' THEN
        PERFORM pgtrickle._invalid('schedule cannot be empty');
    ELSIF pgtrickle._is_cron(trimmed) THEN
        PERFORM pgtrickle._check_cron(trimmed);
    ELSIF trimmed ~ '^-\d+$' THEN
        PERFORM pgtrickle._invalid(format('schedule cannot be negative: ''%s''', trimmed));
    ELSIF pgtrickle.parse_duration_seconds(trimmed) IS NULL THEN
        -- the first letter that is not a unit; missing if the last number has no unit
        unit := substring(regexp_replace(trimmed, '^(\d+[smhdw])*', ''), '^\d*(\D)');
        IF unit IS NULL THEN
            PERFORM pgtrickle._invalid(format('trailing digits ''%s'' without a unit in duration ''%s''. Append s, m, h, d, or w. Example: ''1h30m''',
                                              substring(trimmed FROM '\d+$'), trimmed));
        END IF;
        PERFORM pgtrickle._invalid(format('invalid duration unit ''%s'' in ''%s''. Use s (seconds), m (minutes), h (hours), d (days), w (weeks). Example: ''5m'', ''1h30m'', ''2d''',
                                          unit, trimmed));
    ELSIF pgtrickle.parse_duration_seconds(trimmed) < minimum THEN
        PERFORM pgtrickle._invalid(format('schedule must be at least %ss, got %ss',
                                          minimum, pgtrickle.parse_duration_seconds(trimmed)));
    END IF;
    RETURN trimmed;
END $$;

-- Checks an argument with a fixed set of words. Returns the word, NULL for NULL.
-- docs/pg_trickle.md, "Errors"
CREATE FUNCTION pgtrickle._one_of(argument text, value text, VARIADIC words text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    quoted text[] := array(SELECT quote_literal(w) FROM unnest(words) AS w);
    last   int := cardinality(words);
BEGIN
    IF value IS NULL OR lower(value) = ANY (words) THEN
        RETURN lower(value);
    END IF;
    PERFORM pgtrickle._invalid(format('invalid %s value: ''%s'' (expected %s)', argument, value,
        CASE WHEN last = 2 THEN quoted[1] || ' or ' || quoted[2]
             ELSE array_to_string(quoted[1:last - 1], ', ') || ', or ' || quoted[last] END));
END $$;

-- docs/pg_trickle.md, "Refresh modes"
CREATE FUNCTION pgtrickle._refresh_mode(mode text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF mode IS NULL OR upper(mode) IN ('AUTO', 'FULL', 'DIFFERENTIAL', 'INCREMENTAL', 'IMMEDIATE') THEN
        RETURN upper(mode);
    END IF;
    PERFORM pgtrickle._invalid(format('unknown refresh mode: %s. Must be ''AUTO'', ''FULL'', ''DIFFERENTIAL'', or ''IMMEDIATE''', mode));
END $$;

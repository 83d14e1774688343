-- Everything needed to copy some relations, from pg_depend: the types, functions, schemas and extensions that they need,
-- their indexes, sequences, defaults, constraints and partitions, and the relations that views read. With $families also
-- the tables that their foreign keys reference.
WITH RECURSIVE wanted AS (
  SELECT w.schema, w.name, c.oid
    FROM jsonb_to_recordset($relations) AS w(schema text, name text)
    LEFT JOIN pg_namespace n ON n.nspname = w.schema
    LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
), needs AS (
  -- On the right the objects that an object needs, on the left its parts.
  SELECT d.classid, d.objid, d.refclassid AS to_class, d.refobjid AS to_object
    FROM pg_depend d
   WHERE d.deptype IN ('n', 'a', 'i', 'e', 'P', 'S')
  UNION ALL
  SELECT d.refclassid, d.refobjid, d.classid, d.objid
    FROM pg_depend d
    LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
   WHERE d.deptype IN ('a', 'i', 'P', 'S')
     AND (d.classid IN ('pg_attrdef'::regclass, 'pg_constraint'::regclass, 'pg_rewrite'::regclass)
          OR c.relkind IN ('i', 'I', 'S') OR c.relispartition)
), objects(class, object) AS (
  SELECT 'pg_class'::regclass::oid, oid FROM wanted WHERE oid IS NOT NULL
  UNION
  SELECT needs.to_class, needs.to_object
    FROM objects
    JOIN needs ON needs.classid = objects.class AND needs.objid = objects.object
   -- Lower OIDs are built in; of those only the schema public can be missing on the other server.
   WHERE (needs.to_object >= 16384 OR needs.to_class = 'pg_namespace'::regclass)
     AND needs.to_class <> 'pg_trigger'::regclass
     -- An extension creates its own objects and everything that they need.
     AND objects.class <> 'pg_extension'::regclass
     AND ($families OR NOT EXISTS (
           SELECT FROM pg_constraint f
            WHERE needs.to_class = 'pg_constraint'::regclass AND f.oid = needs.to_object AND f.contype = 'f'))
), families AS (
  -- The foreign keys between tables that are copied anyway.
  SELECT 'pg_constraint'::regclass::oid AS class, f.oid AS object
    FROM pg_constraint f
   WHERE f.contype = 'f'
     AND EXISTS (SELECT FROM objects o WHERE o.class = 'pg_class'::regclass AND o.object = f.conrelid)
     AND EXISTS (SELECT FROM objects o WHERE o.class = 'pg_class'::regclass AND o.object = f.confrelid)
), relations AS (
  SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.relispartition,
         -- A dump locks tables, which needs the SELECT privilege; of other relations it only reads the definition.
         c.relkind NOT IN ('r', 'p')
           OR has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS readable
    FROM objects o
    JOIN pg_class c ON o.class = 'pg_class'::regclass AND c.oid = o.object AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    JOIN pg_namespace n ON n.oid = c.relnamespace
)
SELECT json_build_object(
  'version', current_setting('server_version'),
  'major', current_setting('server_version_num')::int / 10000,
  'user', current_user,
  'missing', (SELECT coalesce(json_agg(json_build_object('schema', schema, 'name', name)), '[]') FROM wanted WHERE oid IS NULL),
  'objects', (SELECT coalesce(json_agg(json_build_array(class::bigint, object::bigint)), '[]')
                FROM (SELECT * FROM objects UNION SELECT * FROM families) o(class, object)),
  'relations', (SELECT coalesce(json_agg(json_build_object(
                  'relation', json_build_object('schema', r.schema, 'name', r.name),
                  'kind', r.kind, 'readable', r.readable, 'is_partition', r.relispartition,
                  'columns', (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_attribute a
                               WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
                  'primary_key', (SELECT coalesce(json_agg(a.attname ORDER BY k.at), '[]')
                                    FROM pg_constraint p, unnest(p.conkey) WITH ORDINALITY AS k(number, at)
                                    JOIN pg_attribute a ON a.attnum = k.number
                                   WHERE p.conrelid = r.oid AND p.contype = 'p' AND a.attrelid = r.oid))
                  ORDER BY r.schema, r.name), '[]') FROM relations r),
  'schemas', (SELECT coalesce(json_agg(n.nspname), '[]') FROM pg_namespace n
               WHERE n.oid IN (SELECT object FROM objects WHERE class = 'pg_namespace'::regclass)),
  'extensions', (SELECT coalesce(json_agg(json_build_object('name', e.extname, 'schema', n.nspname)), '[]')
                   FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
                  WHERE e.oid IN (SELECT object FROM objects WHERE class = 'pg_extension'::regclass)),
  'others', (SELECT coalesce(json_agg(json_build_object('schema', n.nspname, 'name', c.relname)), '[]')
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.oid NOT IN (SELECT oid FROM relations)
                AND n.oid IN (SELECT object FROM objects WHERE class = 'pg_namespace'::regclass)),
  'keys', (SELECT coalesce(json_agg(json_build_object(
             'child', json_build_object('schema', cn.nspname, 'name', c.relname),
             'parent', json_build_object('schema', pn.nspname, 'name', p.relname),
             'columns', (SELECT json_agg(json_build_array(ca.attname, pa.attname, format('%I.%I', tn.nspname, t.typname)) ORDER BY k.at)
                           FROM unnest(f.conkey, f.confkey) WITH ORDINALITY AS k(child, parent, at)
                           JOIN pg_attribute ca ON ca.attrelid = f.conrelid AND ca.attnum = k.child
                           JOIN pg_attribute pa ON pa.attrelid = f.confrelid AND pa.attnum = k.parent
                           JOIN pg_type t ON t.oid = pa.atttypid JOIN pg_namespace tn ON tn.oid = t.typnamespace))), '[]')
             FROM families x JOIN pg_constraint f ON f.oid = x.object AND f.conparentid = 0
             JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
             JOIN pg_class p ON p.oid = f.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace)
)::text

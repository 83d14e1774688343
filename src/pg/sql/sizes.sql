-- The sizes of these relations with their indexes. Relations that do not exist are left out.
select coalesce(jsonb_agg(jsonb_build_array(to_jsonb(wanted), pg_catalog.pg_total_relation_size(c.oid))), '[]')::text
from jsonb_to_recordset($relations) as wanted (schema text, name text)
join pg_catalog.pg_namespace as n on n.nspname = wanted.schema
join pg_catalog.pg_class as c on c.relnamespace = n.oid and c.relname = wanted.name

-- The names that relations other than stream tables have, with their kind.
select coalesce(jsonb_agg(jsonb_build_object('schema', n.nspname, 'name', c.relname, 'kind', case c.relkind
  when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table' when 'S' then 'sequence' else 'table' end)), '[]')::text
from jsonb_to_recordset($relations) as wanted (schema text, name text)
join pg_catalog.pg_namespace as n on n.nspname = wanted.schema
join pg_catalog.pg_class as c on c.relnamespace = n.oid and c.relname = wanted.name and c.relkind not in ('i', 'I', 't')
where not exists (
  select from pgtrickle.pgt_stream_tables as s
  where s.pgt_relid = c.oid or s.pgt_schema = wanted.schema and s.pgt_name = wanted.name
)

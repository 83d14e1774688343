-- What stands under some names that are no stream tables.
select coalesce(jsonb_agg(jsonb_build_object(
  'schema', n.nspname, 'name', c.relname,
  'kind', case c.relkind
    when 'r' then 'a table' when 'p' then 'a partitioned table' when 'v' then 'a view'
    when 'm' then 'a materialized view' when 'f' then 'a foreign table' else 'something else'
  end
)), '[]')::text
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname || '.' || c.relname in ($names)

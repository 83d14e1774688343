-- The definitions of these views as PostgreSQL writes them, null without a view. With this search_path every name has its
-- schema.
set local search_path = '';
select coalesce(jsonb_agg(jsonb_build_array(wanted.name, case when c.relkind in ('v', 'm') then pg_catalog.pg_get_viewdef(c.oid) end)), '[]')::text
from jsonb_array_elements_text($names) as wanted (name)
left join pg_catalog.pg_class as c on c.oid = to_regclass(wanted.name)

-- The queries that pg_trickle refuses in the modes DIFFERENTIAL and IMMEDIATE, each with the first reason
-- (docs/pg_trickle.md, "Validation").
select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(asked.relation, refused.reason)), '[]')::text
from pg_catalog.jsonb_to_recordset($queries) as asked (relation jsonb, sql text)
cross join lateral (
  select case v.check_name when 'volatility' then 'it calls volatile functions' else v.result end as reason
  from pgtrickle.validate_query(asked.sql) with ordinality as v (check_name, result, severity, place)
  where v.check_name in ('dvm_parse_error', 'unsupported_construct', 'matview_or_foreign_table', 'ivm_support_check')
     or v.check_name = 'volatility' and v.result = 'volatile'
  order by v.check_name = 'dvm_parse_error' desc, v.place
  limit 1
) as refused

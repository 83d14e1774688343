-- The settings that decide about the result of a query and that this role has of its own, with the value that sessions of
-- other roles have: the database's. Without one it is the server's, which only some roles can read.
with own (of_role, name, value) as (
  select s.setrole <> 0, lower(split_part(setting, '=', 1)), substr(setting, strpos(setting, '=') + 1)
  from pg_db_role_setting as s cross join unnest(s.setconfig) as setting
  where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
    and s.setrole in (0, (select oid from pg_roles where rolname = session_user))
)
select coalesce(jsonb_agg(distinct jsonb_build_object(
  'name', own.name,
  'value', coalesce(
    (select database.value from own as database where database.name = own.name and not database.of_role),
    case when own.name = 'search_path' then (select boot_val from pg_settings where name = 'search_path') end
  )
)), '[]')::text
from own
where own.of_role and own.name in (
  'timezone', 'search_path', 'datestyle', 'intervalstyle', 'extra_float_digits', 'bytea_output', 'lc_time', 'lc_numeric',
  'lc_monetary', 'default_text_search_config', 'timezone_abbreviations', 'xmloption', 'array_nulls'
)

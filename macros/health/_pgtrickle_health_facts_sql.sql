{# The CTE `facts` of _pgtrickle_health_sql: what the server says of each table that is judged or read. #}
{% macro _pgtrickle_health_facts_sql() -%}
facts as (
  select
    coalesce(wanted.schema_name, st.pgt_schema) as schema_name,
    coalesce(wanted.table_name, st.pgt_name) as table_name,
    wanted.warn_after,
    wanted.error_after,
    coalesce(wanted.pauses, false) as pauses,
    coalesce(wanted.freezes, false) as freezes,
    coalesce(wanted.is_asked, false) as is_asked,
    st.pgt_id,
    st.status,
    st.schedule,
    st.refresh_mode,
    coalesce(st.is_populated, false) as is_populated,
    st.last_refresh_at,
    st.updated_at,
    coalesce(st.needs_reinit, false) as needs_reinit,
    coalesce(st.consecutive_errors, 0) as consecutive_errors,
    coalesce(st.refresh_tier, 'hot') as tier,
    coalesce(st.fuse_state = 'blown', false) as is_fused,
    -- The scheduler leaves such a table alone; only limits that are set apply to its age.
    coalesce(to_jsonb(st) ->> 'orchestration_mode' = 'EXTERNAL', false) as is_external,
    st.blow_reason,
    -- The engine stores a dump of the error, with the message somewhere in it.
    coalesce(substring(st.last_error_message from 'message: "([^"]*)"'), left(st.last_error_message, 200)) as error_message,
    st.refresh_mode || coalesce(' every ' || st.schedule, '') || coalesce(', ' || nullif(st.refresh_tier, 'hot'), '') as kept,
    greatest(extract(epoch from clock_timestamp() - st.last_refresh_at)::float8, 0) as since_refresh,
    -- The tier stretches the schedule.
    case when st.schedule !~ '[@[:space:]]' then pgtrickle.parse_duration_seconds(st.schedule) end
      * case st.refresh_tier when 'warm' then 2 when 'cold' then 10 else 1 end as interval_seconds,
    case when btrim(st.schedule) ~ '[@[:space:]]' then {{ dbt_pgtrickle._pgtrickle_cron_times_sql('st.schedule') }} end as cron_times,
    exists (
      select from pg_catalog.pg_class as c
      join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
      where c.oid = st.pgt_relid and n.nspname = st.pgt_schema and c.relname = st.pgt_name
    ) as storage_exists,
    coalesce(around.has_lost_source, false) as has_lost_source,
    around.gated_by,
    coalesce(around.waiting, 0) as waiting
  from wanted
  full join (
    select st.* from pgtrickle.pgt_stream_tables as st where st.pgt_id in (select upstream from reads)
  ) as st on st.pgt_schema = wanted.schema_name and st.pgt_name = wanted.table_name
  left join lateral (
    select
      bool_or(c.oid is null) as has_lost_source,
      string_agg(n.nspname || '.' || c.relname, ', ' order by n.nspname, c.relname) filter (where g.gated) as gated_by,
      -- A table without a schedule of its own is refreshed when something that it reads has changed. Of the stream tables
      -- among that, the last change is known (docs/pg_trickle.md, Freshness).
      max(extract(epoch from clock_timestamp() - u.data_timestamp)) filter (where u.data_timestamp > st.last_refresh_at)::float8 as waiting
    from pgtrickle.pgt_dependencies as d
    left join pg_catalog.pg_class as c on c.oid = d.source_relid
    left join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    left join pgtrickle.pgt_source_gates as g on g.source_relid = d.source_relid
    left join pgtrickle.pgt_stream_tables as u on u.pgt_relid = d.source_relid
    where d.pgt_id = st.pgt_id
  ) as around on true
)
{%- endmacro %}

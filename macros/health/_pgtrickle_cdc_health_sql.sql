{#
  One row {name, verdict, detail} for each way on which changes travel: from a source table, into an IMMEDIATE table, and from
  one stream table to another. What is looked at is in docs/checks.md, and `pgtrickle-ci check` looks at the same. The
  engine's own check looks at replication slots only: a capture trigger that is gone or disabled loses rows without a sign
  (docs/pg_trickle.md, Capture health).
#}
{% macro _pgtrickle_cdc_health_sql() %}
with switched_off as (
  select 'capture' as name, 'error' as verdict, 'pg_trickle.cdc_paused is on: all changes are thrown away' as detail
  where pg_catalog.current_setting('pg_trickle.cdc_paused', true) in ('on', 'true', 'yes', '1')
),

{{ dbt_pgtrickle._pgtrickle_captured_sources_sql() }},

into_immediate as (
  select
    coalesce(n.nspname || '.' || c.relname, d.source_relid::text) || ' for ' || s.pgt_schema || '.' || s.pgt_name as name,
    case
      when d.source_type = 'STREAM_TABLE' then 'an IMMEDIATE table does not follow a stream table'
      when c.oid is null then 'the source table is gone'
      when {{ dbt_pgtrickle._pgtrickle_citus_sql('c.oid') }} is not null
        then 'it ' || {{ dbt_pgtrickle._pgtrickle_citus_sql('c.oid') }} || ': pg_trickle cannot capture its changes, and writes to it fail'
      else (
        select string_agg('the trigger ' || expected.tgname || ' is ' || case when g.oid is null then 'missing' else 'disabled' end, '; ' order by expected.tgname)
        from (
          select 'pgt_ivm_' || moment.name || '_' || event || '_' || s.pgt_id as tgname
          from (values ('before', '{insert,update,delete,trunc}'::text[]), ('after', '{ins,upd,del,trunc}')) as moment (name, events)
          cross join unnest(moment.events) as event
          -- The emulator has no `before` triggers.
          where moment.name = 'after' or not exists (select from pg_catalog.pg_extension where extname = 'pg_trickle' and extversion like '%-emulator')
        ) as expected
        left join pg_catalog.pg_trigger as g on g.tgrelid = c.oid and g.tgname = expected.tgname
        where g.oid is null or g.tgenabled not in ('O', 'A')
      )
    end as problem
  from pgtrickle.pgt_dependencies as d
  join pgtrickle.pgt_stream_tables as s on s.pgt_id = d.pgt_id and s.refresh_mode = 'IMMEDIATE'
  left join pg_catalog.pg_class as c on c.oid = d.source_relid
  left join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  where d.source_type in ('TABLE', 'STREAM_TABLE')
),

between_tables as (
  select
    coalesce(u.pgt_schema || '.' || u.pgt_name, d.source_relid::text) || ' for ' || s.pgt_schema || '.' || s.pgt_name as name,
    case
      when u.pgt_id is null then 'the stream table that it reads was dropped or rebuilt'
      when pg_catalog.to_regclass({{ dbt_pgtrickle._pgtrickle_buffer_schema() }} || '.changes_pgt_' || u.pgt_id) is null
        then 'the change buffer ' || {{ dbt_pgtrickle._pgtrickle_buffer_schema() }} || '.changes_pgt_' || u.pgt_id || ' is gone'
    end as problem
  from pgtrickle.pgt_dependencies as d
  join pgtrickle.pgt_stream_tables as s on s.pgt_id = d.pgt_id and s.refresh_mode = 'DIFFERENTIAL'
  left join pgtrickle.pgt_stream_tables as u on u.pgt_relid = d.source_relid
  where d.source_type = 'STREAM_TABLE'
)

select name, verdict, detail from switched_off
union all
select
  name,
  case when problem is not null then 'error' when lag > warning_lag then 'warn' else 'ok' end,
  concat_ws('; ', cdc_mode, problem, case when problem is null and lag > warning_lag then 'its slot is ' || round(lag / 1048576) || ' MB behind' end)
from captured_sources
union all
select name, case when problem is null then 'ok' else 'error' end, coalesce(problem, 'followed with every write') from into_immediate
union all
select name, case when problem is null then 'ok' else 'error' end, coalesce(problem, 'changes reach it') from between_tables
order by 1
{% endmacro %}

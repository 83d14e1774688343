{# The CTE `captured_sources` of _pgtrickle_cdc_health_sql: each source table, and what is wrong with its capture. #}
{% macro _pgtrickle_captured_sources_sql() -%}
tracked as (
  select
    d.source_relid,
    c.oid is not null as is_there,
    coalesce(n.nspname || '.' || c.relname, d.source_relid::text) as name,
    max(d.cdc_mode) as cdc_mode,
    {{ dbt_pgtrickle._pgtrickle_citus_sql('c.oid') }} as citus,
    t.source_stable_name as stable_name,
    c.relreplident = 'f' as has_whole_identity,
    exists (select from pg_catalog.pg_index as i where i.indrelid = d.source_relid and i.indisprimary) as has_key,
    string_agg(distinct s.pgt_schema || '.' || s.pgt_name, ', ') filter (where s.requested_cdc_mode = 'wal') as wal_asked_by,
    extract(epoch from clock_timestamp() - max(s.created_at)) as read_for,
    string_agg(distinct h.alert, '; ') as alert,
    coalesce(max(d.slot_name), max(h.slot_name)) as slot_name
  from pgtrickle.pgt_dependencies as d
  join pgtrickle.pgt_stream_tables as s on s.pgt_id = d.pgt_id and s.refresh_mode <> 'IMMEDIATE'
  left join pg_catalog.pg_class as c on c.oid = d.source_relid
  left join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  left join pgtrickle.pgt_change_tracking as t on t.source_relid = d.source_relid
  left join pgtrickle.check_cdc_health() as h on h.source_relid = d.source_relid::bigint
  where d.source_type = 'TABLE'
  group by d.source_relid, c.oid, n.nspname, c.relname, c.relreplident, t.source_stable_name
),

captured_sources as (
  select
    tracked.name,
    tracked.cdc_mode,
    slot.lag,
    setting.warning_lag,
    case
      when not tracked.is_there then 'the source table is gone'
      when tracked.citus is not null then 'it ' || tracked.citus || ': pg_trickle cannot capture its changes, and writes to it fail'
      when tracked.stable_name is null then concat_ws('; ', tracked.alert, 'the engine does not track the source')
      else nullif(concat_ws('; ',
        tracked.alert,
        case when pg_catalog.to_regclass({{ dbt_pgtrickle._pgtrickle_buffer_schema() }} || '.changes_' || tracked.stable_name) is null
          then 'the change buffer ' || {{ dbt_pgtrickle._pgtrickle_buffer_schema() }} || '.changes_' || tracked.stable_name || ' is gone' end,
        (
          select 'it has no column ' || string_agg(distinct used.name, ', ') || ' any more, which the capture names'
          from pgtrickle.pgt_dependencies as u
          cross join lateral (
            select unnest(u.columns_used) as name
            union all
            select c ->> 'name' from jsonb_array_elements(u.column_snapshot -> 'columns') as c where u.columns_used is null
          ) as used
          where u.source_relid = tracked.source_relid and not exists (
            select from pg_catalog.pg_attribute as a
            where a.attrelid = tracked.source_relid and a.attname = used.name and a.attnum > 0 and not a.attisdropped
          )
        ),
        (
          -- Before 0.43 a buffer has copies new_ and old_ of a column. One that has no copy of any column is of another kind.
          select 'its change buffer has no column ' || string_agg(captured.name, ', ') filter (where not captured.is_kept) || ', so that every write to it fails'
          from (
            select a.attname as name, exists (
              select from pg_catalog.pg_attribute as b
              where b.attrelid = pg_catalog.to_regclass({{ dbt_pgtrickle._pgtrickle_buffer_schema() }} || '.changes_' || tracked.stable_name)
                and b.attname in (a.attname, 'new_' || a.attname) and not b.attisdropped
            ) as is_kept
            from pg_catalog.pg_attribute as a
            where a.attrelid = tracked.source_relid and a.attnum > 0 and not a.attisdropped and (
              exists (
                select from pgtrickle.pgt_dependencies as u
                join pgtrickle.pgt_stream_tables as reader on reader.pgt_id = u.pgt_id and reader.refresh_mode <> 'IMMEDIATE'
                where u.source_relid = tracked.source_relid and a.attname = any (u.columns_used)
              ) or exists (
                select from pg_catalog.pg_trigger as g
                join pg_catalog.pg_proc as p on p.oid = g.tgfoid
                where g.tgrelid = tracked.source_relid and g.tgname like 'pg\_trickle\_cdc\_ins\_%'
                  and strpos(p.prosrc, '"new_' || a.attname || '"') > 0
              )
            )
          ) as captured
          having bool_or(captured.is_kept)
        ),
        case
          when tracked.cdc_mode = 'WAL' then case
            when slot.slot_name is null then 'its replication slot is gone'
            when slot.wal_status = 'lost' then 'its replication slot ' || slot.slot_name || ' has lost what it still had to give'
            when slot.lag > setting.critical_lag then 'its replication slot ' || slot.slot_name || ' is ' || round(slot.lag / 1048576) || ' MB behind'
          end
          else concat_ws('; ', silent.triggers, case
            when tracked.wal_asked_by is null then null
            when not tracked.has_whole_identity then 'captured by triggers though ' || tracked.wal_asked_by || ' asks for the WAL: its REPLICA IDENTITY is not FULL'
            when not tracked.has_key then 'captured by triggers though ' || tracked.wal_asked_by || ' asks for the WAL: it has no primary key'
            when setting.is_emulator then null
            when pg_catalog.current_setting('wal_level') <> 'logical' then 'captured by triggers though ' || tracked.wal_asked_by || ' asks for the WAL: wal_level is not logical'
            when tracked.read_for > 30 then 'captured by triggers though ' || tracked.wal_asked_by || ' asks for the WAL'
          end)
        end
      ), '')
    end as problem
  from tracked
  cross join (
    select
      exists (select from pg_catalog.pg_extension where extname = 'pg_trickle' and extversion like '%-emulator') as is_emulator,
      nullif(pg_catalog.current_setting('pg_trickle.slot_lag_warning_threshold_mb', true), '')::float8 * 1048576 as warning_lag,
      nullif(pg_catalog.current_setting('pg_trickle.slot_lag_critical_threshold_mb', true), '')::float8 * 1048576 as critical_lag
  ) as setting
  left join lateral (
    select l.slot_name, l.wal_status, case when not pg_catalog.pg_is_in_recovery()
      then pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), l.confirmed_flush_lsn) end as lag
    from pg_catalog.pg_replication_slots as l
    where l.slot_name = tracked.slot_name
  ) as slot on true
  left join lateral (
    select 'missing or disabled: ' || string_agg(expected.tgname, ', ' order by expected.tgname) as triggers
    from (
      select 'pg_trickle_cdc_' || operation || '_' || tracked.stable_name as tgname
      from unnest(array['ins', 'upd', 'del', 'truncate']) as operation
    ) as expected
    -- In row mode the engine has a single trigger.
    where not exists (
      select from pg_catalog.pg_trigger as g
      join pg_catalog.pg_proc as p on p.oid = g.tgfoid
      where g.tgrelid = tracked.source_relid and g.tgname in (expected.tgname, 'pg_trickle_cdc_' || tracked.stable_name)
        and g.tgenabled in ('O', 'A') and p.prosrc like '%changes\_' || tracked.stable_name || '%'
    )
  ) as silent on true
)
{%- endmacro %}

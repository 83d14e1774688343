{#
  One row a table: the rule of docs/checks.md, which `pgtrickle-ci check` goes by as well.

    state      not_found | erroring | paused | populating | frozen | gated | stale | healthy | unknown
    verdict    ok | warn | error
    detail     the sentence for a person
    freshness  ok | warn | error by its age, whatever else it is
    errors     ok | warn | error by the failures of its refresh
    as_of      the time as of which it holds what its sources hold; null while it is not refreshed
    staleness_seconds, consecutive_errors, last_refresh_at, is_populated

  `tables` is a list of {schema, name, warn_after, error_after, pauses, freezes, is_asked}: limits in seconds, `Infinity`
  for no limit and none for those of the schedule; whether its model suspends or freezes it; and whether it is to be judged
  or only known for what reads it. All but the first two may be missing.
#}
{% macro _pgtrickle_health_sql(tables) %}
with recursive wanted (schema_name, table_name, warn_after, error_after, pauses, freezes, is_asked) as (
  values
  {%- for table in tables %}
    (
      {{- dbt_pgtrickle._pgtrickle_literal(table.schema) }}, {{ dbt_pgtrickle._pgtrickle_literal(table.name) }}, {# -#}
      {{ dbt_pgtrickle._pgtrickle_literal(table.get('warn_after')) }}::float8, {{ dbt_pgtrickle._pgtrickle_literal(table.get('error_after')) }}::float8, {# -#}
      {{ table.get('pauses', false) | lower }}, {{ table.get('freezes', false) | lower }}, {{ table.get('is_asked', true) | lower }}
    ){{ ',' if not loop.last }}
  {%- endfor %}
),

-- What is judged, and what that reads, directly or through others.
reads (reader, upstream) as (
  select st.pgt_id, st.pgt_id
  from pgtrickle.pgt_stream_tables as st
  join wanted on wanted.schema_name = st.pgt_schema and wanted.table_name = st.pgt_name and wanted.is_asked
  union
  select reads.reader, u.pgt_id
  from reads
  join pgtrickle.pgt_dependencies as d on d.pgt_id = reads.upstream
  join pgtrickle.pgt_stream_tables as u on u.pgt_relid = d.source_relid
),

{{ dbt_pgtrickle._pgtrickle_health_facts_sql() }},

aged as (
  select
    seen.*,
    case
      when not is_scheduled then 0
      when age > error_limit then 2
      when age > warn_limit then 1
      else 0
    end as lateness
  from (
    select
      facts.*,
      -- A table that its model pauses, and one that is maintained with every write, is not late.
      not (tier = 'frozen' or refresh_mode = 'IMMEDIATE' or (status = 'SUSPENDED' and pauses)) as is_scheduled,
      case when last_refresh_at is null then 'Infinity' when schedule is null and not is_external then waiting else since_refresh end as age,
      coalesce(warn_after, case
        when is_external then 'Infinity'
        when schedule is null then 10
        when interval_seconds is not null then interval_seconds + 10
        when cron_times is null then 0
        else extract(epoch from clock_timestamp() - cron_times[case when clock_timestamp() - cron_times[1] > interval '10 s' then 1 else 2 end])
      end)::float8 as warn_limit,
      coalesce(error_after, case
        when is_external then 'Infinity'
        when schedule is null then 60
        when interval_seconds is not null then 3 * interval_seconds + 10
        when cron_times is null then 'Infinity'
        else extract(epoch from clock_timestamp() - cron_times[2])
      end)::float8 as error_limit
    from facts
  ) as seen
),

own as (
  select
    aged.*,
    case
      when state in ('not_found', 'populating', 'gated', 'unknown') and not is_being_filled then 2
      when state = 'erroring' and (status <> 'ACTIVE' or has_lost_source) then 2
      when state in ('erroring', 'populating') then greatest(1, lateness)
      when state = 'paused' then case when pauses and not is_fused then 0 else 2 end
      when state = 'frozen' then case when freezes then 0 else 2 end
      else lateness
    end as severity
  from (
    select
      aged.*,
      -- A tick of the scheduler fills it again. One that waits longer is stuck.
      needs_reinit and is_populated and status = 'ACTIVE' and clock_timestamp() - updated_at <= interval '10 s' as is_being_filled,
      case
        when pgt_id is null or not storage_exists then 'not_found'
        when status = 'ERROR' then 'erroring'
        when not is_populated then 'populating'
        when is_fused or status = 'SUSPENDED' then 'paused'
        when status = 'INITIALIZING' then 'populating'
        when status <> 'ACTIVE' then 'unknown'
        when has_lost_source then 'erroring'
        when needs_reinit then 'populating'
        when tier = 'frozen' then 'frozen'
        when gated_by is not null then 'gated'
        when consecutive_errors > 0 then 'erroring'
        when lateness > 0 then 'stale'
        else 'healthy'
      end as state
    from aged
  ) as aged
),

told as (
  select
    own.*,
    case state
      when 'not_found' then case when pgt_id is null then 'there is no such stream table' else 'its storage was dropped or renamed' end
      when 'erroring' then case
        when status = 'ERROR' then 'its refresh fails' || coalesce(': ' || error_message, '')
        when has_lost_source then 'something that it reads was dropped or rebuilt'
        else 'its last ' || consecutive_errors || ' refreshes failed' || coalesce(': ' || error_message, '')
      end
      when 'paused' then case
        when is_fused then 'its fuse has blown' || coalesce(': ' || blow_reason, '')
        when pauses then 'suspended, as its model says'
        else 'it is not refreshed until it is resumed'
      end
      when 'populating' then case when is_populated and status = 'ACTIVE' then 'it is due to be filled again' else 'it has never been populated' end
      when 'frozen' then case when freezes then 'frozen, as its model says' else 'its tier is frozen: the scheduler passes it by' end
      when 'gated' then 'its source ' || gated_by || ' is gated: the scheduler passes it by'
      when 'unknown' then 'it is in the unknown status ' || status
      else case
        when last_refresh_at is null then 'it was never refreshed'
        when refresh_mode = 'IMMEDIATE' then 'maintained with every write'
        when is_external then 'refreshed ' || round(age) || ' s ago, by an external orchestrator'
        when schedule is null then case when age > 0 then 'what it reads changed ' || round(age) || ' s ago' else 'refreshed when it has to be' end
        when warn_after is null and error_after is null and interval_seconds is null and cron_times is null then 'refreshed ' || round(age) || ' s ago, and when `' || schedule || '` asks for it is not known'
        else 'refreshed ' || round(age) || ' s ago'
      end || case
        when not is_scheduled or last_refresh_at is null then ''
        when age > error_limit then ', more than ' || round(error_limit) || ' s is too old'
        when age > warn_limit then ', more than ' || round(warn_limit) || ' s is late'
        else ''
      end
    end || coalesce(' (' || kept || ')', '') as detail
  from own
)

select
  told.schema_name,
  told.table_name,
  case when told.severity < 2 and cause.detail is not null then 'stale' else told.state end as state,
  (array['ok', 'warn', 'error'])[1 + greatest(told.severity, case when cause.detail is not null then 2 end)] as verdict,
  case when told.severity < 2 and cause.detail is not null then 'it is as old as ' || cause.detail else told.detail end as detail,
  (array['ok', 'warn', 'error'])[1 + case when told.state = 'not_found' or not told.is_populated or cause.detail is not null then 2 else told.lateness end] as freshness,
  (array['ok', 'warn', 'error'])[1 + case when told.state in ('not_found', 'erroring') then told.severity else 0 end] as errors,
  case when cause.detail is null and (told.severity < 2 or told.state = 'stale') then clock_timestamp() - make_interval(secs => case when told.is_scheduled then nullif(told.age, 'Infinity') else 0 end) end as as_of,
  round(told.since_refresh)::bigint as staleness_seconds,
  told.consecutive_errors,
  told.last_refresh_at,
  told.is_populated
from told
left join lateral (
  select u.schema_name || '.' || u.table_name || ', and that is an error: ' || u.detail as detail
  from reads
  join told as u on u.pgt_id = reads.upstream
  where reads.reader = told.pgt_id and u.pgt_id <> told.pgt_id and u.severity = 2
  order by u.pgt_id
  limit 1
) as cause on true
where told.is_asked
order by 1, 2
{% endmacro %}

{#
  One row a table, of what state it is in and whether that will do:

    state    not_found | erroring | suspended | populating | frozen | stale | healthy
    verdict  ok | warn | error
    detail   the sentence for a person
    too_old  whether its age is beyond the limit, whatever else it is
    failing  whether its refresh fails or has failed

  `tables` is a list of {schema, name, warn_after, error_after}, the last two in seconds or none. Without a limit, a
  table may be a minute behind its schedule. Status is asked first: a table in error keeps its last refresh time and
  counts no errors (docs/pg_trickle.md, Status). Tables without a schedule of their own are refreshed when there is
  something to do, so that their age says nothing (docs/pg_trickle.md, Freshness).
#}
{% macro pgtrickle_health_sql(tables) %}
with wanted (schema_name, table_name, warn_after, error_after) as (
  values
  {%- for table in tables %}
    (
      {{- dbt_pgtrickle.pgtrickle_literal(table.schema) }}, {{ dbt_pgtrickle.pgtrickle_literal(table.name) }}, {# -#}
      {{ dbt_pgtrickle.pgtrickle_literal(table.warn_after) }}::float8, {{ dbt_pgtrickle.pgtrickle_literal(table.error_after) }}::float8
    ){{ ',' if not loop.last }}
  {%- endfor %}
),

seen as (
  select
    wanted.schema_name,
    wanted.table_name,
    wanted.warn_after,
    -- The tier stretches the schedule.
    coalesce(
      wanted.error_after,
      pgtrickle.parse_duration_seconds(st.schedule) * case st.refresh_tier when 'warm' then 2 when 'cold' then 10 else 1 end + 60
    ) as error_after,
    case when st.schedule is not null then extract(epoch from clock_timestamp() - st.last_refresh_at) end as age,
    coalesce(st.status = 'ERROR' or st.consecutive_errors > 0, false) as failing,
    st.refresh_mode || coalesce(' every ' || st.schedule, '') || coalesce(', ' || nullif(st.refresh_tier, 'hot'), '') as kept,
    -- The engine stores a dump of the error, with the message somewhere in it.
    coalesce(substring(st.last_error_message from 'message: "([^"]*)"'), left(st.last_error_message, 200)) as error_message,
    case
      when st.pgt_id is null then 'not_found'
      when st.status = 'ERROR' then 'erroring'
      when st.status = 'SUSPENDED' then 'suspended'
      when not st.is_populated then 'populating'
      when st.refresh_tier = 'frozen' then 'frozen'
      else 'healthy'
    end as state
  from wanted
  left join pgtrickle.pgt_stream_tables as st
    on st.pgt_schema = wanted.schema_name and st.pgt_name = wanted.table_name
)

select
  schema_name,
  table_name,
  case when state = 'healthy' and (age > warn_after or age > error_after) then 'stale' else state end as state,
  case
    when state in ('not_found', 'erroring', 'suspended', 'populating') or age > error_after then 'error'
    when state = 'frozen' or age > warn_after then 'warn'
    else 'ok'
  end as verdict,
  coalesce(age > error_after, false) as too_old,
  failing,
  case state
    when 'not_found' then 'there is no such stream table'
    when 'erroring' then 'its refresh fails' || coalesce(': ' || error_message, '')
    when 'suspended' then 'it is not refreshed until it is resumed'
    when 'populating' then 'it has never been populated'
    else coalesce('refreshed ' || round(age) || ' s ago' || coalesce(', ' || error_after || ' s allowed', ''), 'refreshed when it has to be')
  end || coalesce(' (' || kept || ')', '') as detail
from seen
order by schema_name, table_name
{% endmacro %}

{#
  One row {name, verdict, detail} a captured source. The engine's own check looks at replication slots only; a capture
  trigger that is gone or disabled loses rows without a sign, so these are looked up here (docs/pg_trickle.md, Capture
  health).
#}
{% macro pgtrickle_cdc_health_sql() %}
with alerts as (
  select source_relid::oid as source_relid, source_table, cdc_mode, alert
  from pgtrickle.check_cdc_health()
),

captured_by_triggers as (
  select distinct tracking.source_relid, tracking.source_stable_name
  from pgtrickle.pgt_change_tracking as tracking
  join pgtrickle.pgt_dependencies as d on d.source_relid = tracking.source_relid
  join pg_catalog.pg_class as c on c.oid = tracking.source_relid
  where d.cdc_mode = 'TRIGGER'
),

firing as (
  select tgrelid, tgname from pg_catalog.pg_trigger where tgenabled in ('O', 'A')
),

silent as (
  select captured.source_relid, string_agg(expected.tgname, ', ' order by expected.tgname) as triggers
  from captured_by_triggers as captured
  cross join lateral (
    select 'pg_trickle_cdc_' || operation || '_' || captured.source_stable_name as tgname
    from unnest(array['ins', 'upd', 'del', 'truncate']) as operation
  ) as expected
  where not exists (select from firing where tgrelid = captured.source_relid and tgname = expected.tgname)
    -- Where the engine captures row by row, one trigger does it all.
    and not exists (
      select from firing where tgrelid = captured.source_relid and tgname = 'pg_trickle_cdc_' || captured.source_stable_name
    )
  group by captured.source_relid
)

select
  alerts.source_table as name,
  case when alerts.alert is null and silent.triggers is null then 'ok' else 'error' end as verdict,
  concat_ws('; ', alerts.cdc_mode, alerts.alert, 'missing or disabled: ' || silent.triggers) as detail
from alerts
left join silent on silent.source_relid = alerts.source_relid
order by 1
{% endmacro %}

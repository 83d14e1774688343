-- The end of the WAL, and which of these stream tables have a source that is captured from the WAL and was not read up to
-- there. The position of the slot itself is too early: it moves before the changes are visible. A source that has just
-- changed over has no position until the first read.
with log as materialized (
  select coalesce($position, case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
                                  else pg_catalog.pg_current_wal_insert_lsn() end) as position
)
select jsonb_build_object(
  'position', (select position from log),
  'tables', (
    select case when count(*) > 0 then coalesce(jsonb_agg(distinct wanted) filter (where source.read_to is null
      or source.read_to < (select position from log)), '[]') end
    from jsonb_to_recordset($relations) as wanted (schema text, name text)
    join pgtrickle.pgt_stream_tables as s on s.pgt_schema = wanted.schema and s.pgt_name = wanted.name
    join pgtrickle.pgt_dependencies as d on d.pgt_id = s.pgt_id
    join (
      select source_relid, max(decoder_confirmed_lsn) as read_to from pgtrickle.pgt_dependencies
      where source_type = 'TABLE' group by source_relid having bool_or(cdc_mode <> 'TRIGGER')
    ) as source on source.source_relid = d.source_relid
    where s.refresh_mode <> 'IMMEDIATE'
  )
)::text

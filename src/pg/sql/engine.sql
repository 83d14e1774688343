-- The engine's state, with the server's clock and the sessions that could hold its scheduler back.
select jsonb_build_object(
  'now', extract(epoch from pg_catalog.clock_timestamp()),
  'emulator', (select extversion like '%-emulator' from pg_catalog.pg_extension where extname = 'pg_trickle'),
  'checks', (select coalesce(jsonb_agg(to_jsonb(h)), '[]') from pgtrickle.health_check() as h),
  'role', current_user,
  'sees_activity', pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'usage'),
  'standby', pg_catalog.pg_is_in_recovery(),
  'enabled', coalesce(pg_catalog.current_setting('pg_trickle.enabled', true), '') not in ('off', 'false'),
  -- where the scheduler can be resumed, a drain lasts until then
  'drained', pg_catalog.to_regprocedure('pgtrickle.resume_after_drain()') is not null and coalesce(pgtrickle.is_drained(), false),
  'can_repair', pg_catalog.to_regprocedure('pgtrickle.repair_stream_table(text)') is not null,
  'instance', $instance,
  'recovery', $recovery,
  'versions', (
    select case when pg_catalog.pg_input_is_valid(v, 'jsonb') then (
      select jsonb_build_object('library_version', v::jsonb ->> 'library_version', 'extension_version', v::jsonb ->> 'extension_version')
      where v::jsonb ->> 'library_version' is not null and v::jsonb ->> 'extension_version' is not null
    ) end
    from pgtrickle.version_check() as v
  ),
  'has_preflight', pg_catalog.to_regprocedure('pgtrickle.preflight_upgrade()') is not null,
  'capture_paused', coalesce(pg_catalog.current_setting('pg_trickle.cdc_paused', true), '') in ('on', 'true'),
  'truncates_buffers', coalesce(pg_catalog.current_setting('pg_trickle.cleanup_use_truncate', true), '') in ('on', 'true'),
  'compact_threshold', nullif(pg_catalog.current_setting('pg_trickle.compact_threshold', true), '')::bigint,
  'buffer_schema_to_quote', (
    select schema from pg_catalog.current_setting('pg_trickle.change_buffer_schema', true) as schema
    where schema <> '' and pg_catalog.quote_ident(schema) <> schema
  ),
  'wal_level', pg_catalog.current_setting('wal_level'),
  'slot_lag_warning', pg_catalog.current_setting('pg_trickle.slot_lag_warning_threshold_mb', true),
  'slot_lag_critical', pg_catalog.current_setting('pg_trickle.slot_lag_critical_threshold_mb', true),
  'schedulers', (
    select coalesce(jsonb_agg(jsonb_build_object(
      'pid', pid, 'age', extract(epoch from pg_catalog.clock_timestamp() - backend_start)
    )), '[]')
    from pg_catalog.pg_stat_activity
    where backend_type = 'pg_trickle scheduler' and datname = pg_catalog.current_database()
  ),
  'holders', (
    select coalesce(jsonb_agg(to_jsonb(h) order by h.age desc), '[]')
    from (
      select
        pid::text as id,
        coalesce(nullif(application_name, ''), backend_type, '') as application,
        coalesce(datname, '') as database,
        extract(epoch from pg_catalog.clock_timestamp() - case state when 'active' then query_start else xact_start end) as age
      from pg_catalog.pg_stat_activity
      where backend_xmin is not null
        and pid <> pg_catalog.pg_backend_pid()
        and backend_type not in ('autovacuum worker')
        and backend_type not like 'pg\_trickle%'
        and coalesce(query_start, xact_start) is not null
    ) as h
    where h.age is not null
  ),
  'writers', (
    select coalesce(jsonb_agg(to_jsonb(w) order by w.began, w.id, w.source), '[]')
    from (
      select
        a.pid::text as id,
        coalesce(nullif(a.application_name, ''), a.backend_type, '') as application,
        jsonb_build_object('schema', n.nspname, 'name', c.relname) as source,
        extract(epoch from a.xact_start) as began
      from pg_catalog.pg_locks as l
      join pg_catalog.pg_stat_activity as a on a.pid = l.pid
      join pg_catalog.pg_class as c on c.oid = l.relation
      join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
      where l.locktype = 'relation' and l.mode = 'RowExclusiveLock' and l.granted
        and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
        and c.oid in (select source_relid from pgtrickle.pgt_dependencies where source_type = 'TABLE' and cdc_mode = 'TRIGGER')
        and a.backend_xid is not null
        and a.pid <> pg_catalog.pg_backend_pid()
        and a.backend_type not like 'pg\_trickle%'
        and a.xact_start is not null
    ) as w
  )
)::text

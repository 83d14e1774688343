-- How changes reach the stream tables: from source tables, through the triggers of IMMEDIATE tables, and through the
-- buffers between stream tables.
with buffers as (
  select coalesce(nullif(pg_catalog.current_setting('pg_trickle.change_buffer_schema', true), ''), 'pgtrickle_changes') as schema
)
select jsonb_build_object('sources', coalesce((
  select jsonb_agg(to_jsonb(c) order by c.source)
  from (
    select
      coalesce(n.nspname || '.' || r.relname, d.source_relid::text) as source,
      r.oid is not null as source_exists,
      $citus as citus,
      jsonb_agg(distinct s.pgt_schema || '.' || s.pgt_name) as readers,
      max(d.cdc_mode) as cdc_mode,
      t.source_stable_name as stable_name,
      (
        select coalesce(jsonb_agg(jsonb_build_object(
          'name', g.tgname,
          'enabled', g.tgenabled in ('O', 'A'),
          'writes', coalesce(p.prosrc like '%changes\_' || t.source_stable_name || '%', false)
        )), '[]')
        from pg_catalog.pg_trigger as g
        join pg_catalog.pg_proc as p on p.oid = g.tgfoid
        where g.tgrelid = d.source_relid and not g.tgisinternal and g.tgname like 'pg\_trickle\_cdc\_%'
      ) as triggers,
      case when t.source_stable_name is not null
        then jsonb_build_object('schema', (select schema from buffers), 'name', 'changes_' || t.source_stable_name) end as buffer,
      buffer.oid is not null as buffer_exists,
      (
        select coalesce(jsonb_agg(distinct used.name), '[]')
        from pgtrickle.pgt_dependencies as u
        cross join lateral (
          select unnest(u.columns_used) as name
          union all
          select c ->> 'name' from jsonb_array_elements(u.column_snapshot -> 'columns') as c where u.columns_used is null
        ) as used
        where u.source_relid = d.source_relid and not exists (
          select from pg_catalog.pg_attribute as a
          where a.attrelid = d.source_relid and a.attname = used.name and a.attnum > 0 and not a.attisdropped
        )
      ) as missing_columns,
      -- Of a source's columns before 0.43 a buffer has copies new_ and old_. One that has no copy of any column is of another kind.
      (
        select coalesce(jsonb_agg(captured.name) filter (where not captured.is_kept), '[]')
        from (
          select a.attname as name, exists (
            select from pg_catalog.pg_attribute as b
            where b.attrelid = buffer.oid and b.attname in (a.attname, 'new_' || a.attname) and not b.attisdropped
          ) as is_kept
          from pg_catalog.pg_attribute as a
          where buffer.oid is not null and a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped and (
            exists (
              select from pgtrickle.pgt_dependencies as u
              join pgtrickle.pgt_stream_tables as reader on reader.pgt_id = u.pgt_id and reader.refresh_mode <> 'IMMEDIATE'
              where u.source_relid = r.oid and a.attname = any (u.columns_used)
            ) or exists (
              select from pg_catalog.pg_trigger as g
              join pg_catalog.pg_proc as p on p.oid = g.tgfoid
              where g.tgrelid = r.oid and g.tgname like 'pg\_trickle\_cdc\_ins\_%' and strpos(p.prosrc, '"new_' || a.attname || '"') > 0
            )
          )
        ) as captured
        having bool_or(captured.is_kept)
      ) as buffer_lacks,
      jsonb_agg(distinct s.pgt_schema || '.' || s.pgt_name) filter (where s.requested_cdc_mode = 'wal') as wal_asked_by,
      extract(epoch from max(s.created_at)) as read_since,
      r.relreplident = 'f' as whole_identity,
      exists (select from pg_catalog.pg_index as i where i.indrelid = d.source_relid and i.indisprimary) as has_key,
      (
        select jsonb_build_object(
          'name', l.slot_name,
          'lost', l.wal_status = 'lost',
          'lag_bytes', case when not pg_catalog.pg_is_in_recovery()
            then pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), l.confirmed_flush_lsn) end
        )
        from pg_catalog.pg_replication_slots as l
        where l.slot_name = coalesce(max(d.slot_name), max(h.slot_name))
      ) as slot,
      pg_catalog.has_table_privilege(buffer.oid, 'select') as buffer_readable,
      coalesce(jsonb_agg(distinct jsonb_build_object(
        'reader', s.pgt_schema || '.' || s.pgt_name,
        'buffer', jsonb_build_object('schema', (select schema from buffers), 'name', buffer.relname),
        'frontier', s.frontier -> 'sources' -> d.source_relid::text ->> 'lsn',
        'first_xid', quiet.first_xid::text
      )) filter (where quiet.first_xid is not null and pg_catalog.has_table_privilege(buffer.oid, 'select')), '[]') as quiet,
      string_agg(distinct h.alert, '; ') as alert
    from pgtrickle.pgt_dependencies as d
    join pgtrickle.pgt_stream_tables as s on s.pgt_id = d.pgt_id and s.refresh_mode <> 'IMMEDIATE'
    left join pg_catalog.pg_class as r on r.oid = d.source_relid
    left join pg_catalog.pg_namespace as n on n.oid = r.relnamespace
    left join pgtrickle.pgt_change_tracking as t on t.source_relid = d.source_relid
    left join pgtrickle.check_cdc_health() as h on h.source_relid = d.source_relid::bigint
    left join pg_catalog.pg_class as buffer
      on buffer.oid = pg_catalog.to_regclass((select quote_ident(schema) from buffers) || '.changes_' || t.source_stable_name)
    -- The transaction of the first recent refresh, if none of them found changes. A refresh that an old snapshot holds
    -- back is also DIFFERENTIAL and changes no row.
    left join lateral (
      select (array_agg(recent.xmin order by recent.start_time))[1] as first_xid
      from (
        select h.xmin, h.start_time, h.action in ('NO_DATA', 'DIFFERENTIAL')
          and coalesce(h.rows_inserted, 0) + coalesce(h.rows_deleted, 0) = 0
          and coalesce((to_jsonb(h) ->> 'rows_updated')::bigint, 0) = 0 as found_nothing
        from pgtrickle.pgt_refresh_history as h
        where h.pgt_id = s.pgt_id and h.start_time >= (
          select max(old.start_time) from pgtrickle.pgt_refresh_history as old
          where old.pgt_id = s.pgt_id and old.start_time < pg_catalog.now() - interval '15 seconds'
        )
      ) as recent
      having count(*) >= 3 and bool_and(recent.found_nothing)
    ) as quiet on true
    where d.source_type = 'TABLE'
    group by d.source_relid, r.oid, n.nspname, r.relname, r.relreplident, t.source_stable_name, buffer.oid
  ) as c
), '[]'), 'immediate', coalesce((
  select jsonb_agg(jsonb_build_object(
    'table', s.pgt_schema || '.' || s.pgt_name,
    'pgt_id', s.pgt_id,
    'source', coalesce(n.nspname || '.' || r.relname, d.source_relid::text),
    'source_exists', r.oid is not null,
    'citus', $citus,
    'source_type', d.source_type,
    'missing_columns', (
      select coalesce(jsonb_agg(used.name), '[]') from unnest(d.columns_used) as used (name)
      where r.oid is not null and not exists (
        select from pg_catalog.pg_attribute as a
        where a.attrelid = d.source_relid and a.attname = used.name and a.attnum > 0 and not a.attisdropped
      )
    ),
    'triggers', (
      select coalesce(jsonb_agg(jsonb_build_object('name', g.tgname, 'enabled', g.tgenabled in ('O', 'A'), 'writes', true)), '[]')
      from pg_catalog.pg_trigger as g
      where g.tgrelid = d.source_relid and g.tgname like 'pgt\_ivm\_%\_' || s.pgt_id
    )
  ))
  from pgtrickle.pgt_dependencies as d
  join pgtrickle.pgt_stream_tables as s on s.pgt_id = d.pgt_id and s.refresh_mode = 'IMMEDIATE'
  left join pg_catalog.pg_class as r on r.oid = d.source_relid
  left join pg_catalog.pg_namespace as n on n.oid = r.relnamespace
  where d.source_type in ('TABLE', 'STREAM_TABLE')
), '[]'), 'between', coalesce((
  select jsonb_agg(jsonb_build_object(
    'reader', s.pgt_schema || '.' || s.pgt_name,
    'read', u.pgt_schema || '.' || u.pgt_name,
    'read_as', d.source_relid::bigint,
    'buffer', case when u.pgt_id is not null
      then jsonb_build_object('schema', (select schema from buffers), 'name', 'changes_pgt_' || u.pgt_id) end,
    'buffer_exists', pg_catalog.to_regclass((select quote_ident(schema) from buffers) || '.changes_pgt_' || u.pgt_id) is not null
  ))
  from pgtrickle.pgt_dependencies as d
  join pgtrickle.pgt_stream_tables as s on s.pgt_id = d.pgt_id and s.refresh_mode = 'DIFFERENTIAL'
  left join pgtrickle.pgt_stream_tables as u on u.pgt_relid = d.source_relid
  where d.source_type = 'STREAM_TABLE'
), '[]'))::text

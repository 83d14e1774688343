-- Facts about each stream table beyond its catalog row.
select coalesce(json_agg(f), '[]')::text
from (
  select
    s.pgt_schema as schema,
    s.pgt_name as name,
    sources.gated_by,
    sources.sources,
    coalesce(history.fallbacks, 0) as fallbacks,
    coalesce(history.refreshes, 0) as refreshes,
    case when s.refresh_mode = 'DIFFERENTIAL' and s.effective_refresh_mode = 'FULL' then coalesce(
      -- The reason itself, in versions that keep it.
      nullif(concat_ws(': ', to_jsonb(s) ->> 'refresh_reason', to_jsonb(s) ->> 'refresh_reason_detail'), ''),
      (select e.downgrade_reason from pgtrickle.explain_refresh_mode(s.pgt_schema || '.' || s.pgt_name) as e)
    ) end as why_full,
    history.last_by,
    history.last_ms,
    (
      select coalesce(jsonb_agg(a.attname order by a.attnum), '[]')
      from pg_catalog.pg_attribute as a
      where a.attrelid = s.pgt_relid and a.attnum > 0 and not a.attisdropped
        and a.atttypid in ('float4'::regtype, 'float8'::regtype) and a.attname not like '\_\_pgt\_%'
    ) as float_columns,
    -- Without the helper columns of aggregates and DISTINCT.
    (
      select case when count(*) = 1 and bool_and(t.typcategory <> 'S') then min(pg_catalog.format_type(a.atttypid, null)) end
      from pg_catalog.pg_attribute as a
      join pg_catalog.pg_type as t on t.oid = a.atttypid
      where a.attrelid = s.pgt_relid and a.attnum > 0 and not a.attisdropped and a.attname <> '__pgt_row_id'
    ) as lone_column,
    (
      select a.amname from pg_catalog.pg_class as c join pg_catalog.pg_am as a on a.oid = c.relam where c.oid = s.pgt_relid
    ) as access_method,
    coalesce((select c.relrowsecurity from pg_catalog.pg_class as c where c.oid = s.pgt_relid), false) as has_row_security
  from pgtrickle.pgt_stream_tables as s
  cross join lateral (
    select
      coalesce(jsonb_agg(n.nspname || '.' || r.relname) filter (where g.gated), '[]') as gated_by,
      coalesce(jsonb_agg(jsonb_build_object(
        'schema', n.nspname, 'name', r.relname, 'source_type', d.source_type, 'cdc_mode', d.cdc_mode,
        'has_row_security', r.relrowsecurity,
        'is_partitioned', r.relkind = 'p',
        'tracked', exists (select from pgtrickle.pgt_change_tracking as t where t.source_relid = r.oid),
        'primary_key', (
          select coalesce(jsonb_agg(a.attname), '[]')
          from pg_catalog.pg_index as i
          join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
          where i.indrelid = r.oid and i.indisprimary
        ),
        'logged_columns', (
          select coalesce(jsonb_agg(jsonb_build_object(
            'name', a.attname, 'type', pg_catalog.format_type(a.atttypid, null),
            'is_text', t.typcategory = 'S', 'nullable', not a.attnotnull,
            'read', exists (
              select from pgtrickle.pgt_dependencies as reader
              where reader.source_relid = r.oid
                and (reader.columns_used is null or a.attname = any (reader.columns_used))
            )
          ) order by a.attnum), '[]')
          from pg_catalog.pg_attribute as a
          join pg_catalog.pg_type as t on t.oid = a.atttypid
          where d.cdc_mode = 'WAL' and a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
        )
      )) filter (where r.oid is not null), '[]') as sources
    from pgtrickle.pgt_dependencies as d
    left join pg_catalog.pg_class as r on r.oid = d.source_relid
    left join pg_catalog.pg_namespace as n on n.oid = r.relnamespace
    left join pgtrickle.pgt_source_gates as g on g.source_relid = d.source_relid
    where d.pgt_id = s.pgt_id
  ) as sources
  left join lateral (
    select
      -- was_full_fallback is true for REINITIALIZE only. Full refreshes before the first differential one are of another
      -- mode, which was changed since.
      count(*) filter (
        where h.action in ('FULL', 'REINITIALIZE') and h.initiated_by like 'SCHEDULER%' and h.start_time > h.differential_since
      ) as fallbacks,
      count(*) as refreshes,
      (array_agg(h.initiated_by order by h.start_time desc) filter (where h.action <> 'NO_DATA'))[1] as last_by,
      (array_agg(h.took_ms order by h.start_time desc) filter (where h.took_ms is not null))[1] as last_ms
    from (
      select recent.*, min(start_time) filter (where action = 'DIFFERENTIAL') over () as differential_since
      from (
        select start_time, initiated_by, action,
          case when kept.status = 'COMPLETED' and kept.action <> 'NO_DATA' then coalesce(
            (to_jsonb(kept) ->> 'duration_ms')::float8,
            -- A refresh by hand has the same time as start and end in some versions.
            case when end_time > start_time then extract(epoch from end_time - start_time)::float8 * 1000 end
          ) end as took_ms
        from pgtrickle.pgt_refresh_history as kept
        where pgt_id = s.pgt_id
        order by start_time desc
        limit 20
      ) as recent
    ) as h
  ) as history on true
) as f

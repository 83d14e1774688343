-- The versions of the server: one row, even without the extension.
select jsonb_build_object(
  'postgres', split_part(current_setting('server_version'), ' ', 1),
  'pg_trickle', (select extversion from pg_catalog.pg_extension where extname = 'pg_trickle'),
  'truncates_buffers', coalesce(pg_catalog.current_setting('pg_trickle.cleanup_use_truncate', true), '') in ('on', 'true'),
  'compacts_buffers', coalesce(nullif(pg_catalog.current_setting('pg_trickle.compact_threshold', true), ''), '0') <> '0',
  'buffer_schema_to_quote', (
    select schema from pg_catalog.current_setting('pg_trickle.change_buffer_schema', true) as schema
    where schema <> '' and pg_catalog.quote_ident(schema) <> schema
  ),
  'columns', (
    select coalesce(jsonb_agg(attname), '[]')
    from pg_catalog.pg_attribute
    where attrelid = pg_catalog.to_regclass('pgtrickle.pgt_stream_tables') and attnum > 0 and not attisdropped
  ),
  'objects', (
    select coalesce(jsonb_agg(object), '[]')
    from (
      select 'pgtrickle.' || relname as object from pg_catalog.pg_class
      where relnamespace = pg_catalog.to_regnamespace('pgtrickle') and relkind in ('r', 'v')
      union all
      select 'pgtrickle.' || proname || '(' || pg_catalog.oidvectortypes(proargtypes) || ')' from pg_catalog.pg_proc
      where pronamespace = pg_catalog.to_regnamespace('pgtrickle')
      union all
      select 'pg_catalog.pg_dist_partition' where pg_catalog.to_regclass('pg_catalog.pg_dist_partition') is not null
    ) as objects
  )
)::text

-- The versions of the server: one row, even without the extension.
select jsonb_build_object(
  'postgres', split_part(current_setting('server_version'), ' ', 1),
  'pg_trickle', (select extversion from pg_catalog.pg_extension where extname = 'pg_trickle'),
  'columns', (
    select coalesce(jsonb_agg(attname), '[]')
    from pg_catalog.pg_attribute
    where attrelid = pg_catalog.to_regclass('pgtrickle.pgt_stream_tables') and attnum > 0 and not attisdropped
  )
)::text

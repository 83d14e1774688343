-- docs/pg_trickle.md, "Create or replace"

-- # the same again changes nothing
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL');
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL');
--> INFO: Stream table public.ids already exists with identical definition…
SELECT pgtrickle.create_or_replace_stream_table('public.ids', E'SELECT   id\nFROM orders', '1m', 'DIFFERENTIAL');
--> INFO: Stream table public.ids already exists with identical definition…
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'AUTO');
--> INFO: Stream table public.ids already exists with identical definition…
SELECT defining_query, (SELECT count(*) FROM pgtrickle.pgt_refresh_history) FROM pgtrickle.pgt_stream_tables;
--> SELECT id FROM orders | 1

-- # another schedule is altered
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL');
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '60s', 'DIFFERENTIAL');
--> INFO: Stream table public.ids replaced (query_changed=false, config_changed=true).
SELECT schedule, (SELECT count(*) FROM pgtrickle.pgt_refresh_history) FROM pgtrickle.pgt_stream_tables;
--> 60s | 1

-- # another query is altered
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders WHERE id > 1', '1h', 'DIFFERENTIAL');
--> WARNING: pg_trickle: stream table public.ids ALTER QUERY applied a full refresh (schema change: same…
--> INFO: Stream table public.ids replaced (query_changed=true, config_changed=false).
SELECT id FROM ids ORDER BY 1;
--> 2
--> 3
SELECT defining_query FROM pgtrickle.pgt_stream_tables;
--> SELECT id FROM orders WHERE id > 1

-- # only a comment is another query
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id /* the key */ FROM orders', '1h', 'DIFFERENTIAL');
--> WARNING: pg_trickle: stream table public.ids ALTER QUERY applied a full refresh (schema change: same…
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'select id FROM orders', '1h', 'DIFFERENTIAL');
--> WARNING: pg_trickle: stream table public.ids ALTER QUERY applied a full refresh (schema change: same…
SELECT defining_query FROM pgtrickle.pgt_stream_tables;
--> select id FROM orders

-- # what is left out goes back to its default
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL', append_only => true, pooler_compatibility_mode => true);
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', refresh_mode => 'DIFFERENTIAL');
SELECT schedule, is_append_only, pooler_compatibility_mode FROM pgtrickle.pgt_stream_tables;
--> NULL | f | f

-- # cdc_mode and diamond settings are left as they are when left out
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL', cdc_mode => 'trigger', diamond_consistency => 'atomic', diamond_schedule_policy => 'slowest');
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL');
--> INFO: Stream table public.ids already exists with identical definition…
SELECT requested_cdc_mode, diamond_consistency, diamond_schedule_policy FROM pgtrickle.pgt_stream_tables;
--> trigger | atomic | slowest
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL', cdc_mode => 'auto', diamond_schedule_policy => 'fastest');
SELECT requested_cdc_mode, diamond_consistency, diamond_schedule_policy FROM pgtrickle.pgt_stream_tables;
--> auto | atomic | fastest

-- # partitions, tier and fuse are not seen
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', tier => 'warm', fuse => 'on', fuse_ceiling => 100);
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL', partition_by => 'id');
--> INFO: Stream table public.ids already exists with identical definition…
SELECT st_partition_key, refresh_tier, fuse_mode, fuse_ceiling FROM pgtrickle.pgt_stream_tables;
--> NULL | warm | on | 100

-- # limits on differential refreshes are seen only with another change
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL');
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL', max_differential_joins => 4, max_delta_fraction => 0.2);
--> INFO: Stream table public.ids already exists with identical definition…
SELECT max_differential_joins, max_delta_fraction FROM pgtrickle.pgt_stream_tables;
--> NULL | NULL
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '2m', 'DIFFERENTIAL', max_differential_joins => 4, max_delta_fraction => 0.2);
SELECT max_differential_joins, max_delta_fraction FROM pgtrickle.pgt_stream_tables;
--> 4 | 0.2

-- # another LIMIT of a top-k query is not seen
SELECT pgtrickle.create_or_replace_stream_table('public.top1', 'SELECT id, amount FROM orders ORDER BY amount DESC LIMIT 1', '1m', 'DIFFERENTIAL');
SELECT pgtrickle.create_or_replace_stream_table('public.top1', 'SELECT id, amount FROM orders ORDER BY amount DESC LIMIT 2', '1m', 'DIFFERENTIAL');
--> INFO: Stream table public.top1 already exists with identical definition…
SELECT topk_limit FROM pgtrickle.pgt_stream_tables;
--> 1
SELECT count(*) FROM top1;
--> 1

-- # AUTO is refused over a FULL or an IMMEDIATE table
-- until 0.86.0: published: AUTO is accepted
SELECT pgtrickle.create_or_replace_stream_table('public.f', 'SELECT id FROM orders', '1m', 'FULL');
SELECT pgtrickle.create_or_replace_stream_table('public.i', 'SELECT id FROM orders', refresh_mode => 'IMMEDIATE');
SELECT pgtrickle.create_or_replace_stream_table('public.f', 'SELECT id FROM orders', '1m');
--> ERROR 23514: new row for relation "pgt_stream_tables" violates check constraint "pgt_stream_tables_r…
SELECT pgtrickle.create_or_replace_stream_table('public.i', 'SELECT id FROM orders');
--> ERROR 23514: new row for relation "pgt_stream_tables" violates check constraint "pgt_stream_tables_r…
SELECT pgt_name, refresh_mode FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> f | FULL
--> i | IMMEDIATE

-- # another mode is altered
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'FULL');
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL');
--> WARNING: pg_trickle: stream table public.ids refresh mode changed from FULL to DIFFERENTIAL; a full …
SELECT refresh_mode FROM pgtrickle.pgt_stream_tables;
--> DIFFERENTIAL

-- # a suspended table stays so with another setting and is ACTIVE with another query
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', status => 'SUSPENDED');
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '2m', 'DIFFERENTIAL');
SELECT schedule, status FROM pgtrickle.pgt_stream_tables;
--> 2m | SUSPENDED
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders WHERE id > 1', '2m', 'DIFFERENTIAL');
--> WARNING: pg_trickle: stream table public.ids ALTER QUERY applied a full refresh (schema change: same…
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ACTIVE

-- # a refused replacement leaves the table as it was
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL');
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT nope FROM orders', '2m', 'DIFFERENTIAL');
--> ERROR 42703: column "nope" does not exist
SELECT pgtrickle.create_or_replace_stream_table('public.ids', 'SELECT id FROM orders', 'banana', 'DIFFERENTIAL');
--> ERROR 22023: invalid argument: invalid duration unit 'b' in 'banana'. Use s (seconds), m (minutes), …
SELECT defining_query, schedule, status FROM pgtrickle.pgt_stream_tables;
--> SELECT id FROM orders | 1m | ACTIVE
SELECT count(*) FROM ids;
--> 3

-- docs/pg_trickle.md, "Creation and population"

-- # a new table is populated when the call returns
SELECT pgtrickle.create_stream_table('public.totals', 'SELECT customer_id, sum(amount) AS total FROM orders GROUP BY customer_id', '1h', 'DIFFERENTIAL');
--> INFO: Stream table public.totals created (pgt_id=1, mode=DIFFERENTIAL, initialized=true)
SELECT status, is_populated, needs_reinit, consecutive_errors, last_refresh_at IS NOT NULL, data_timestamp IS NOT NULL FROM pgtrickle.pgt_stream_tables;
--> ACTIVE | t | f | 0 | t | t
SELECT action, status, initiated_by, rows_inserted, rows_deleted FROM pgtrickle.pgt_refresh_history;
--> FULL | COMPLETED | INITIAL | 0 | 0
SELECT customer_id, total FROM totals ORDER BY 1;
--> 1 | 30.00
--> 2 | 30.00

-- # a table that is not initialized stays empty until it is refreshed by hand
SELECT pgtrickle.create_stream_table('public.later', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL', initialize => false);
SELECT pgtrickle.create_stream_table('public.witness', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ until
SELECT EXISTS (SELECT FROM witness WHERE id = 4);
--> t
SELECT status, is_populated, effective_refresh_mode, last_refresh_at FROM pgtrickle.pgt_stream_tables WHERE pgt_name = 'later';
--> INITIALIZING | f | NULL | NULL
SELECT count(*) FROM later;
--> 0
SELECT pgtrickle.refresh_stream_table('public.later');
SELECT status, is_populated FROM pgtrickle.pgt_stream_tables WHERE pgt_name = 'later';
--> ACTIVE | t
SELECT count(*) FROM later;
--> 4

-- # a table that is not initialized counts as populated once it is set ACTIVE, and is empty while its source is quiet
SELECT pgtrickle.create_stream_table('public.later', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL', initialize => false);
SELECT pgtrickle.alter_stream_table('public.later', status => 'ACTIVE');
--@ until
SELECT is_populated FROM pgtrickle.pgt_stream_tables;
--> t
SELECT count(*) FROM later;
--> 0
SELECT DISTINCT action, initiated_by FROM pgtrickle.pgt_refresh_history;
--> NO_DATA | SCHEDULER

-- # a table that is set ACTIVE is populated when its source has changed meanwhile
SELECT pgtrickle.create_stream_table('public.later', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL', initialize => false);
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.alter_stream_table('public.later', status => 'ACTIVE');
--@ until
SELECT is_populated FROM pgtrickle.pgt_stream_tables;
--> t
SELECT count(*) FROM later;
--> 4

-- # settings and their defaults
SELECT pgtrickle.create_stream_table('public.plain', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL');
SELECT diamond_consistency, diamond_schedule_policy, requested_cdc_mode, is_append_only, pooler_compatibility_mode, st_partition_key FROM pgtrickle.pgt_stream_tables;
--> atomic | fastest | NULL | f | f | NULL
SELECT refresh_tier, fuse_mode, fuse_state, fuse_ceiling, fuse_sensitivity, max_differential_joins, max_delta_fraction FROM pgtrickle.pgt_stream_tables;
--> hot | off | armed | NULL | NULL | NULL | NULL
SELECT temporal_mode, storage_backend, st_placement FROM pgtrickle.pgt_stream_tables;
--> f | heap | local

-- # settings that are given
SELECT pgtrickle.create_stream_table('public.full_of_wishes', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL', diamond_consistency => 'atomic', diamond_schedule_policy => 'slowest', cdc_mode => 'trigger', append_only => true, pooler_compatibility_mode => true, max_differential_joins => 3, max_delta_fraction => 0.5);
SELECT diamond_consistency, diamond_schedule_policy, requested_cdc_mode, is_append_only, pooler_compatibility_mode, max_differential_joins, max_delta_fraction FROM pgtrickle.pgt_stream_tables;
--> atomic | slowest | trigger | t | t | 3 | 0.5
SELECT cdc_mode FROM pgtrickle.pgt_dependencies;
--> TRIGGER

-- # words that are no settings are refused
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders', '1m', 'FULL', diamond_consistency => 'none', diamond_schedule_policy => 'slowest');
--> ERROR 22023: invalid argument: diamond_schedule_policy = 'slowest' requires diamond_consistency = 'a…
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders', '1m', 'FULL', diamond_consistency => 'maybe');
--> ERROR 22023: invalid argument: invalid diamond_consistency value: 'maybe' (expected 'none' or 'atomi…
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders', '1m', 'FULL', diamond_schedule_policy => 'maybe');
--> ERROR 22023: invalid argument: invalid diamond_schedule_policy value: 'maybe' (expected 'fastest' or…
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders', '1m', 'FULL', cdc_mode => 'pigeon');
--> ERROR 22023: invalid argument: invalid cdc_mode value: 'pigeon' (expected 'auto', 'trigger', or 'wal…
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders', '1m', 'FULL', partition_by => 'nope');
--> ERROR 22023: invalid argument: partition_by column 'nope' is not in the stream table's SELECT output…
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0
SELECT to_regclass('public.bad');
--> NULL

-- # capture by the log starts with triggers, and stays there for a source without REPLICA IDENTITY FULL
-- until 0.98.0: published: capture by the log is refused
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL', cdc_mode => 'wal');
SELECT requested_cdc_mode FROM pgtrickle.pgt_stream_tables;
--> wal
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ until
SELECT EXISTS (SELECT FROM ids WHERE id = 4);
--> t
SELECT cdc_mode FROM pgtrickle.pgt_dependencies;
--> TRIGGER

-- # partitions by range, list and hash
SELECT pgtrickle.create_stream_table('public.ranged', 'SELECT id, amount FROM orders', '1m', 'DIFFERENTIAL', partition_by => 'id');
SELECT pgtrickle.create_stream_table('public.listed', 'SELECT id, status FROM orders', '1m', 'DIFFERENTIAL', partition_by => 'LIST:status');
SELECT pgtrickle.create_stream_table('public.hashed', 'SELECT id, status FROM orders', '1m', 'DIFFERENTIAL', partition_by => 'HASH:id:3');
SELECT pgt_name, st_partition_key, pg_get_partkeydef(pgt_relid) FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> hashed | HASH:id:3 | HASH (id)
--> listed | LIST:status | LIST (status)
--> ranged | id | RANGE (id)
SELECT inhparent::regclass::text, count(*) FROM pg_inherits WHERE inhparent IN (SELECT pgt_relid FROM pgtrickle.pgt_stream_tables) GROUP BY 1 ORDER BY 1;
--> hashed | 3
--> listed | 1
--> ranged | 1

-- # a partitioned table follows updates and deletes
SELECT pgtrickle.create_stream_table('public.hashed', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL', partition_by => 'HASH:id:3');
UPDATE orders SET status = 'void' WHERE id = 1;
DELETE FROM orders WHERE id = 2;
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.hashed');
SELECT id, status FROM hashed ORDER BY 1;
--> 1 | void
--> 3 | paid
--> 4 | new

-- # a partitioned differential projection fails when rows were only inserted
SELECT pgtrickle.create_stream_table('public.hashed', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL', partition_by => 'HASH:id:3');
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.hashed');
--> ERROR 42P10: there is no unique or exclusion constraint matching the ON CONFLICT specification
SELECT count(*) FROM hashed;
--> 3

-- # a partitioned aggregate and a partitioned FULL table take new rows
SELECT pgtrickle.create_stream_table('public.counts', 'SELECT status, count(*) AS n FROM orders GROUP BY status', '1h', 'DIFFERENTIAL', partition_by => 'LIST:status');
SELECT pgtrickle.create_stream_table('public.copied', 'SELECT id, status FROM orders', '1h', 'FULL', partition_by => 'id');
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.counts');
--> WARNING: pg_trickle: PART-WARN: default partition public.counts_default of stream table public.count…
SELECT pgtrickle.refresh_stream_table('public.copied');
SELECT status, n FROM counts ORDER BY 1;
--> new | 2
--> paid | 2
SELECT count(*) FROM copied;
--> 4

-- # a table can keep former versions of its rows
-- emulator: temporal tables are refused with 0A000
SELECT pgtrickle.create_stream_table('public.versions', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL', temporal => true);
SELECT temporal_mode FROM pgtrickle.pgt_stream_tables;
--> t

-- # the heap is a storage backend
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL', storage_backend => 'heap');
SELECT storage_backend FROM pgtrickle.pgt_stream_tables;
--> heap

-- docs/pg_trickle.md, "Alter"

-- # every setting can be altered
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', schedule => '2h', diamond_consistency => 'atomic', diamond_schedule_policy => 'slowest', cdc_mode => 'trigger', append_only => true, pooler_compatibility_mode => true);
SELECT schedule, diamond_consistency, diamond_schedule_policy, requested_cdc_mode, is_append_only, pooler_compatibility_mode FROM pgtrickle.pgt_stream_tables;
--> 2h | atomic | slowest | trigger | t | t
SELECT pgtrickle.alter_stream_table('public.ids', tier => 'warm', fuse => 'on', fuse_ceiling => 10, fuse_sensitivity => 3, max_differential_joins => 5, max_delta_fraction => 0.25);
SELECT refresh_tier, fuse_mode, fuse_ceiling, fuse_sensitivity, max_differential_joins, max_delta_fraction FROM pgtrickle.pgt_stream_tables;
--> warm | on | 10 | 3 | 5 | 0.25

-- # what follows a refresh can be altered
-- from 0.47.0: earlier versions have neither setting
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL');
SELECT post_refresh_action FROM pgtrickle.pgt_stream_tables;
--> none
SELECT pgtrickle.alter_stream_table('public.ids', post_refresh_action => 'analyze', reindex_drift_threshold => 0.5);
SELECT post_refresh_action, reindex_drift_threshold FROM pgtrickle.pgt_stream_tables;
--> analyze | 0.5
SELECT pgtrickle.alter_stream_table('public.ids', post_refresh_action => 'dance');
--> ERROR 22023: invalid argument: invalid post_refresh_action 'dance': expected 'none', 'analyze', 'rei…

-- # NULL leaves everything as it is
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids');
SELECT pgtrickle.alter_stream_table('public.ids', schedule => NULL, refresh_mode => NULL);
SELECT schedule, refresh_mode, status FROM pgtrickle.pgt_stream_tables;
--> 1m | DIFFERENTIAL | ACTIVE
SELECT count(*) FROM pgtrickle.pgt_refresh_history;
--> 1

-- # AUTO and INCREMENTAL are refused
-- until 0.86.0: published: AUTO is accepted
SELECT pgtrickle.create_stream_table('public.d', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.f', 'SELECT id FROM orders', '1m', 'FULL');
SELECT pgtrickle.alter_stream_table('public.d', refresh_mode => 'AUTO');
--> ERROR 23514: new row for relation "pgt_stream_tables" violates check constraint "pgt_stream_tables_r…
SELECT pgtrickle.alter_stream_table('public.d', refresh_mode => 'INCREMENTAL');
--> ERROR 23514: new row for relation "pgt_stream_tables" violates check constraint "pgt_stream_tables_r…
SELECT pgtrickle.alter_stream_table('public.f', refresh_mode => 'AUTO');
--> ERROR 23514: new row for relation "pgt_stream_tables" violates check constraint "pgt_stream_tables_r…
SELECT pgt_name, refresh_mode, status FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> d | DIFFERENTIAL | ACTIVE
--> f | FULL | ACTIVE

-- # another mode is a full refresh at once
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.alter_stream_table('public.ids', refresh_mode => 'FULL');
--> WARNING: pg_trickle: stream table public.ids refresh mode changed from DIFFERENTIAL to FULL; a full …
SELECT refresh_mode, schedule FROM pgtrickle.pgt_stream_tables;
--> FULL | 1h
SELECT count(*) FROM ids;
--> 4
SELECT action, initiated_by FROM pgtrickle.pgt_refresh_history ORDER BY refresh_id;
--> FULL | INITIAL

-- # to IMMEDIATE and back
-- from 0.55.0: 0.40.0 then captures every column into the old buffer, so that every write to the source fails
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', refresh_mode => 'IMMEDIATE');
--> WARNING: pg_trickle: stream table public.ids refresh mode changed from DIFFERENTIAL to IMMEDIATE; a …
SELECT refresh_mode, schedule FROM pgtrickle.pgt_stream_tables;
--> IMMEDIATE | NULL
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT count(*) FROM ids;
--> 4
SELECT pgtrickle.alter_stream_table('public.ids', refresh_mode => 'DIFFERENTIAL');
--> WARNING: pg_trickle: stream table public.ids refresh mode changed from IMMEDIATE to DIFFERENTIAL; a …
SELECT refresh_mode, schedule FROM pgtrickle.pgt_stream_tables;
--> DIFFERENTIAL | 1m
INSERT INTO orders VALUES (5, 1, 50, 'new');
SELECT count(*) FROM ids;
--> 4
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 5

-- # a mode is altered without a look at the query
CREATE MATERIALIZED VIEW paid AS SELECT id FROM orders WHERE status = 'paid';
SELECT pgtrickle.create_stream_table('public.lucky', 'SELECT id, random() AS r FROM orders', '1h', 'FULL');
--> WARNING: pg_trickle: defining query contains a volatile/non-deterministic function ('random()') that…
SELECT pgtrickle.create_stream_table('public.over_paid', 'SELECT id FROM paid', '1h', 'FULL');
SELECT pgtrickle.alter_stream_table('public.lucky', refresh_mode => 'DIFFERENTIAL');
--> WARNING: pg_trickle: stream table public.lucky refresh mode changed from FULL to DIFFERENTIAL; a ful…
SELECT pgtrickle.alter_stream_table('public.over_paid', refresh_mode => 'DIFFERENTIAL');
--> WARNING: pg_trickle: stream table public.over_paid refresh mode changed from FULL to DIFFERENTIAL; a…
SELECT pgt_name, refresh_mode FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> lucky | DIFFERENTIAL
--> over_paid | DIFFERENTIAL

-- # the four words of status, in any case
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', status => 'INITIALIZING');
SELECT status FROM pgtrickle.pgt_stream_tables;
--> INITIALIZING
SELECT pgtrickle.alter_stream_table('public.ids', status => 'suspended');
SELECT status FROM pgtrickle.pgt_stream_tables;
--> SUSPENDED
SELECT pgtrickle.alter_stream_table('public.ids', status => 'Error');
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ERROR
SELECT pgtrickle.alter_stream_table('public.ids', status => 'ACTIVE');
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ACTIVE
SELECT pgtrickle.alter_stream_table('public.ids', status => 'PAUSED');
--> ERROR 22023: invalid argument: unknown status: PAUSED
SELECT pgtrickle.alter_stream_table('public.ids', status => '');
--> ERROR 22023: invalid argument: unknown status: 
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ACTIVE

-- # words that are no settings are refused and change nothing
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', tier => 'lukewarm');
--> ERROR 22023: invalid argument: invalid tier value: 'lukewarm' (expected 'hot', 'warm', 'cold', or 'f…
SELECT pgtrickle.alter_stream_table('public.ids', fuse => 'maybe');
--> ERROR 22023: invalid argument: invalid fuse value: 'maybe' (expected 'off', 'on', or 'auto')
SELECT pgtrickle.alter_stream_table('public.ids', fuse => 'on', fuse_ceiling => 0);
--> ERROR 22023: invalid argument: fuse_ceiling must be a positive integer
SELECT pgtrickle.alter_stream_table('public.ids', cdc_mode => 'pigeon');
--> ERROR 22023: invalid argument: invalid cdc_mode value: 'pigeon' (expected 'auto', 'trigger', or 'wal…
SELECT pgtrickle.alter_stream_table('public.ids', diamond_consistency => 'maybe');
--> ERROR 22023: invalid argument: invalid diamond_consistency value: 'maybe' (expected 'none' or 'atomi…
SELECT pgtrickle.alter_stream_table('public.ids', schedule => 'banana');
--> ERROR 22023: invalid argument: invalid duration unit 'b' in 'banana'. Use s (seconds), m (minutes), …
SELECT pgtrickle.alter_stream_table('public.ids', refresh_mode => 'SOMETIMES');
--> ERROR 22023: invalid argument: unknown refresh mode: SOMETIMES. Must be 'AUTO', 'FULL', 'DIFFERENTIA…
SELECT pgtrickle.alter_stream_table('public.ids', schedule => '2h', tier => 'lukewarm');
--> ERROR 22023: invalid argument: invalid tier value: 'lukewarm' (expected 'hot', 'warm', 'cold', or 'f…
SELECT schedule, refresh_mode, refresh_tier, fuse_mode, fuse_ceiling, requested_cdc_mode FROM pgtrickle.pgt_stream_tables;
--> 1h | DIFFERENTIAL | hot | off | NULL | NULL

-- # a demotion to another tier is notified
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', tier => 'cold');
--> NOTICE: stream table public.ids demoted from hot to cold…
SELECT pgtrickle.alter_stream_table('public.ids', tier => 'FROZEN');
SELECT refresh_tier, status FROM pgtrickle.pgt_stream_tables;
--> frozen | ACTIVE

-- # partitions are made and unmade by a rebuild
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, status FROM orders', '1h', 'FULL');
CREATE VIEW on_it AS SELECT id FROM ids;
SELECT pgtrickle.alter_stream_table('public.ids', partition_by => 'LIST:status');
--> WARNING: pg_trickle: ALTER partition_by on public.ids requires full storage rebuild. The storage tab…
SELECT st_partition_key, pg_get_partkeydef(pgt_relid) FROM pgtrickle.pgt_stream_tables;
--> LIST:status | LIST (status)
SELECT to_regclass('on_it');
--> NULL
SELECT count(*) FROM ids;
--> 3
SELECT pgtrickle.alter_stream_table('public.ids', partition_by => '');
--> WARNING: pg_trickle: ALTER partition_by on public.ids requires full storage rebuild. The storage tab…
SELECT st_partition_key, (SELECT relkind FROM pg_class WHERE oid = pgt_relid) FROM pgtrickle.pgt_stream_tables;
--> NULL | r
SELECT count(*) FROM ids;
--> 3

-- # an unknown table
SELECT pgtrickle.alter_stream_table('public.nope', schedule => '1h');
--> ERROR 42P01: stream table not found: public.nope
SELECT pgtrickle.alter_stream_table('public.orders', schedule => '1h');
--> ERROR 42P01: stream table not found: public.orders

-- # a calculated schedule
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', schedule => 'calculated');
SELECT schedule FROM pgtrickle.pgt_stream_tables;
--> NULL

-- # a table in ERROR is ACTIVE after any change
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', status => 'ERROR');
SELECT pgtrickle.alter_stream_table('public.ids', schedule => '2h');
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ACTIVE
SELECT pgtrickle.alter_stream_table('public.ids', status => 'ERROR');
SELECT pgtrickle.alter_stream_table('public.ids', status => 'SUSPENDED');
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ACTIVE

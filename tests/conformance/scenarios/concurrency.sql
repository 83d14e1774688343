-- docs/pg_trickle.md, "Concurrent creates"

-- # of two that create one name, one wins and one gets a clean error
-- emulator: the second waits for the first and gets 42P07
BEGIN;
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
--@ b starts
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM customers', '1h', 'DIFFERENTIAL');
COMMIT;
--@ b ends
--> ERROR 23505: duplicate key value violates unique constraint "pg_type_typname_nsp_index"
SELECT defining_query FROM pgtrickle.pgt_stream_tables;
--> SELECT id FROM orders

-- # a concurrent second session finds a complete catalog
BEGIN;
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
--@ b starts
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM customers', '1h', 'DIFFERENTIAL');
COMMIT;
--@ b ends
--> ERROR …
SELECT s.defining_query, d.source_relid::regclass::text FROM pgtrickle.pgt_stream_tables s JOIN pgtrickle.pgt_dependencies d USING (pgt_id);
--> SELECT id FROM orders | orders
SELECT count(*) FROM ids;
--> 3
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 4
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'customers'::regclass;
--> 0

-- # of two that start to track one source, one gets 23505
-- emulator: the second waits for the first, and both succeed
BEGIN;
SELECT pgtrickle.create_stream_table('public.one', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
--@ b starts
SELECT pgtrickle.create_stream_table('public.other', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
COMMIT;
--@ b ends
--> ERROR 23505: …

-- # the first of two that start to track one source is whole
BEGIN;
SELECT pgtrickle.create_stream_table('public.one', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
--@ b starts
DO $$ BEGIN PERFORM pgtrickle.create_stream_table('public.other', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL'); EXCEPTION WHEN unique_violation THEN NULL; END $$;
COMMIT;
--@ b ends
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.one');
SELECT count(*) FROM one;
--> 4

-- # two tables over one tracked source do not wait for each other's end
SELECT pgtrickle.create_stream_table('public.first', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
BEGIN;
SELECT pgtrickle.create_stream_table('public.one', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
--@ b starts
SELECT pgtrickle.create_stream_table('public.other', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
COMMIT;
--@ b ends
SELECT pgt_name FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> first
--> one
--> other
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.one');
SELECT pgtrickle.refresh_stream_table('public.other');
SELECT (SELECT count(*) FROM one), (SELECT count(*) FROM other);
--> 4 | 4

-- # a create over a new source waits for its open writers
BEGIN;
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ b starts
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
COMMIT;
--@ b ends
SELECT count(*) FROM ids;
--> 4

-- # a writer waits for an open create over a new source
BEGIN;
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
--@ b starts
INSERT INTO orders VALUES (4, 1, 40, 'new');
COMMIT;
--@ b ends
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 4

-- # a create over a tracked source loses what an open writer wrote
-- emulator: it recomputes, so the rows come with the next refresh
SELECT pgtrickle.create_stream_table('public.first', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
BEGIN;
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ b
SELECT pgtrickle.create_stream_table('public.second', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
COMMIT;
SELECT pgtrickle.refresh_stream_table('public.second');
SELECT count(*) FROM second;
--> 3

-- # an alter waits for a refresh
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
BEGIN;
SELECT pgtrickle.refresh_stream_table('public.ids');
--@ b starts
SELECT pgtrickle.alter_stream_table('public.ids', schedule => '2h');
COMMIT;
--@ b ends
SELECT schedule FROM pgtrickle.pgt_stream_tables;
--> 2h

-- # a drop waits for a refresh
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
BEGIN;
SELECT pgtrickle.refresh_stream_table('public.ids');
--@ b starts
SELECT pgtrickle.drop_stream_table('public.ids');
COMMIT;
--@ b ends
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0

-- # a backend that is killed while it refreshes leaves the previous contents
SELECT pgtrickle.create_stream_table('public.slow', 'SELECT id, pg_sleep(CASE WHEN id > 3 THEN 30 ELSE 0 END) IS NULL AS slept FROM orders', '1h', 'FULL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
DELETE FROM orders WHERE id = 1;
--@ b starts
SELECT pgtrickle.refresh_stream_table('public.slow');
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND query = E'SELECT pgtrickle.refresh_stream_table(''public.slow'');\n';
--> 1
--@ b ends
--> ERROR 57P01: terminating connection due to administrator command
SELECT id FROM slow ORDER BY 1;
--> 1
--> 2
--> 3
SELECT status, is_populated FROM pgtrickle.pgt_stream_tables;
--> ACTIVE | t
SELECT count(*) FROM pgtrickle.pgt_refresh_history;
--> 1
DELETE FROM orders WHERE id > 3;
SELECT pgtrickle.refresh_stream_table('public.slow');
SELECT id FROM slow ORDER BY 1;
--> 2
--> 3

-- # a backend that is killed while it creates leaves nothing
BEGIN;
SELECT pgtrickle.create_stream_table('public.first', 'SELECT id FROM customers', '1h', 'DIFFERENTIAL');
--@ b starts
INSERT INTO customers VALUES (4, 'dan', 'eu');
--@ c
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction';
--> 1
--@ b ends
--@ c until
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0
--@ c
SELECT to_regclass('first'), (SELECT count(*) FROM customers), (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'customers'::regclass);
--> NULL | 4 | 0

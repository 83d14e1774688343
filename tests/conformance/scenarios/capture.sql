-- docs/pg_trickle.md, "Change capture"

-- # a source carries four triggers
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT count(*) AS sources, count(g.tgname) AS triggers, count(*) FILTER (WHERE g.tgenabled = 'O') AS enabled FROM pgtrickle.pgt_change_tracking t LEFT JOIN pg_trigger g ON g.tgrelid = t.source_relid AND g.tgname ~ ('^pg_trickle_cdc_(ins|upd|del|truncate)_' || t.source_stable_name || '$');
--> 4 | 4 | 4
SELECT source_relid::regclass::text, length(source_stable_name), cardinality(tracked_by_pgt_ids) FROM pgtrickle.pgt_change_tracking;
--> orders | 16 | 1
SELECT count(*) FROM pg_class c, pgtrickle.pgt_change_tracking t WHERE c.relnamespace = 'pgtrickle_changes'::regnamespace AND c.relname = 'changes_' || t.source_stable_name;
--> 1

-- # a FULL table is captured, too
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'FULL');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders'::regclass;
--> 4

-- # changes wait in the buffer until they are refreshed, an update as two
-- from 0.43.0: earlier versions write one row for an update
-- until 0.82.0: published: a buffer has one row more, which is no change
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
UPDATE orders SET status = 'x' WHERE id = 4;
DO $$ DECLARE n bigint; BEGIN EXECUTE format('SELECT count(*) FROM pgtrickle_changes.%I', (SELECT 'changes_' || source_stable_name FROM pgtrickle.pgt_change_tracking)) INTO n; RAISE WARNING '% changes', n; END $$;
--> WARNING: 3 changes

-- # changes that a disabled trigger missed are lost
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
ALTER TABLE orders DISABLE TRIGGER USER;
INSERT INTO orders VALUES (4, 1, 40, 'new');
ALTER TABLE orders ENABLE TRIGGER USER;
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 3

-- # lost changes stay lost
-- emulator: it recomputes, so they come back with the next captured change
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
ALTER TABLE orders DISABLE TRIGGER USER;
INSERT INTO orders VALUES (4, 1, 40, 'new');
ALTER TABLE orders ENABLE TRIGGER USER;
INSERT INTO orders VALUES (5, 1, 50, 'new');
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 4

-- # repair brings lost changes back
-- from 0.42.0: earlier versions have no repair_stream_table
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
ALTER TABLE orders DISABLE TRIGGER USER;
INSERT INTO orders VALUES (4, 1, 40, 'new');
ALTER TABLE orders ENABLE TRIGGER USER;
SELECT pgtrickle.repair_stream_table('public.ids') IS NOT NULL;
--> t
--@ until
SELECT count(*) FROM ids;
--> 4

-- # a write into a partition of a source is not captured
CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parted DEFAULT;
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM parted', '1h', 'DIFFERENTIAL');
INSERT INTO part VALUES (1);
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 0
INSERT INTO parted VALUES (2);
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT id FROM ids WHERE id = 2;
--> 2

-- # rows that are loaded into a detached partition arrive with the next refresh
CREATE TABLE parted (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF parted FOR VALUES FROM (1) TO (10);
CREATE TABLE high PARTITION OF parted FOR VALUES FROM (10) TO (20);
INSERT INTO parted VALUES (1, 1), (10, 10);
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, n FROM parted', '1h', 'DIFFERENTIAL');
BEGIN;
ALTER TABLE parted DETACH PARTITION low;
INSERT INTO low VALUES (2, 2);
UPDATE low SET n = 100 WHERE id = 1;
ALTER TABLE parted ATTACH PARTITION low FOR VALUES FROM (1) TO (10);
COMMIT;
SELECT pgtrickle.refresh_stream_table('public.ids');
-- The refresh may be the scheduler's.
--@ until
SELECT id, n FROM ids ORDER BY 1;
--> 1 | 100
--> 2 | 2
--> 10 | 10

-- # a partition that is attached after another was detached is not noticed, until the query is altered to itself
CREATE TABLE parted (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF parted FOR VALUES FROM (1) TO (10);
CREATE TABLE high PARTITION OF parted FOR VALUES FROM (10) TO (20);
INSERT INTO parted VALUES (1, 1), (10, 10);
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, n FROM parted', '1h', 'DIFFERENTIAL');
ALTER TABLE parted DETACH PARTITION low;
SELECT pgtrickle.refresh_stream_table('public.ids');
--@ until
SELECT id FROM ids;
--> 10
ALTER TABLE parted ATTACH PARTITION low FOR VALUES FROM (1) TO (10);
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT id FROM ids;
--> 10
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT id, n FROM parted');
--> WARNING: pg_trickle: stream table public.ids ALTER QUERY applied a full refresh (schema change: same…
SELECT id FROM ids ORDER BY 1;
--> 1
--> 10

-- # a write through an updatable view is captured
CREATE VIEW all_orders AS SELECT id, customer_id, amount, status FROM orders;
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
INSERT INTO all_orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 4

-- # COPY, upserts and MERGE are captured
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL');
INSERT INTO orders VALUES (3, 2, 30, 'upserted'), (4, 1, 40, 'new') ON CONFLICT (id) DO UPDATE SET status = excluded.status;
MERGE INTO orders o USING (VALUES (1), (5)) AS v (id) ON o.id = v.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.id, 1, 50, 'merged');
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT id, status FROM ids ORDER BY 1;
--> 2 | paid
--> 3 | upserted
--> 4 | new
--> 5 | merged

-- # compaction loses changes of a source without a key
-- until 0.108.1: published: it is mended
-- emulator: it does not compact its buffers
CREATE TABLE log (n int);
SELECT pgtrickle.create_stream_table('public.logged', 'SELECT n FROM log', '1h', 'DIFFERENTIAL');
--> WARNING: pg_trickle: source table public.log has no PRIMARY KEY. …
SET pg_trickle.compact_threshold = 10;
INSERT INTO log SELECT 1 FROM generate_series(1, 20);
SELECT pgtrickle.refresh_stream_table('public.logged');
SELECT count(*) FROM logged;
--> 2

-- # compaction for one reader loses changes of another
-- until 0.108.1: published: it is mended
-- emulator: it does not compact its buffers
CREATE TABLE numbers (n int PRIMARY KEY);
SELECT pgtrickle.create_stream_table('public.one', 'SELECT n FROM numbers', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.other', 'SELECT n FROM numbers', '1h', 'DIFFERENTIAL');
SET pg_trickle.compact_threshold = 10;
INSERT INTO numbers SELECT n FROM generate_series(1, 20) n;
SELECT pgtrickle.refresh_stream_table('public.one');
DELETE FROM numbers WHERE n > 5;
SELECT pgtrickle.refresh_stream_table('public.other');
SELECT pgtrickle.refresh_stream_table('public.one');
SELECT (SELECT count(*) FROM one), (SELECT count(*) FROM other);
--> 20 | 5

-- # a change that is not committed when a refresh empties its buffer is lost
-- until 0.108.1: published: it is mended
-- emulator: it does not truncate its buffers
SELECT pgtrickle.create_stream_table('public.of_orders', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.of_customers', 'SELECT id, name FROM customers', '1h', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ b
SET pg_trickle.cleanup_use_truncate = on;
--@ b
SELECT pgtrickle.refresh_stream_table('public.of_orders');
BEGIN;
INSERT INTO orders VALUES (5, 1, 50, 'new');
--@ b
UPDATE customers SET name = 'z' WHERE id = 1;
--@ b starts
SELECT pgtrickle.refresh_stream_table('public.of_customers');
COMMIT;
--@ b ends
SELECT pgtrickle.refresh_stream_table('public.of_orders');
SELECT (SELECT count(*) FROM of_orders), (SELECT count(*) FROM orders);
--> 4 | 5

-- # what a transaction wrote before a refresh, and commits after it, is lost
-- emulator: it recomputes
SELECT pgtrickle.create_stream_table('public.of_orders', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
--@ b
SET pg_trickle.cleanup_use_truncate = off;
BEGIN;
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ b
SELECT pgtrickle.refresh_stream_table('public.of_orders');
COMMIT;
--@ b
SELECT pgtrickle.refresh_stream_table('public.of_orders');
SELECT (SELECT count(*) FROM of_orders), (SELECT count(*) FROM orders);
--> 3 | 4

-- # with DELETE a change that is not committed when a refresh empties its buffer is kept
SELECT pgtrickle.create_stream_table('public.of_orders', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.of_customers', 'SELECT id, name FROM customers', '1h', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ b
SET pg_trickle.cleanup_use_truncate = off;
--@ b
SELECT pgtrickle.refresh_stream_table('public.of_orders');
BEGIN;
INSERT INTO orders VALUES (5, 1, 50, 'new');
--@ b
UPDATE customers SET name = 'z' WHERE id = 1;
--@ b
SELECT pgtrickle.refresh_stream_table('public.of_customers');
COMMIT;
SELECT pgtrickle.refresh_stream_table('public.of_orders');
SELECT (SELECT count(*) FROM of_orders), (SELECT count(*) FROM orders);
--> 5 | 5

-- # a table that was IMMEDIATE captures a new column into its old buffer
-- emulator: it drops a buffer with its last reader
CREATE TABLE lone (id int PRIMARY KEY, a int, b int);
SELECT pgtrickle.create_stream_table('public.t', 'SELECT id FROM lone', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.t', refresh_mode => 'IMMEDIATE');
--> WARNING: pg_trickle: stream table public.t refresh mode changed from DIFFERENTIAL to IMMEDIATE; a …
SELECT pgtrickle.alter_stream_table('public.t', refresh_mode => 'DIFFERENTIAL', query => 'SELECT id, a FROM lone');
--> WARNING: pg_trickle: stream table public.t ALTER QUERY applied a full refresh (schema change: compat…
--> WARNING: pg_trickle: stream table public.t refresh mode changed from IMMEDIATE to DIFFERENTIAL; a …
INSERT INTO lone VALUES (1, 2, 3);
--> ERROR 42703: column "…" of relation "changes_…" does not exist

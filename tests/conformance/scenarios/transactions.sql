-- docs/pg_trickle.md, "Transactions" and "Refresh in a transaction"

-- # a create that is rolled back leaves nothing
BEGIN;
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'DIFFERENTIAL');
SELECT count(*) FROM ids;
--> 3
ROLLBACK;
SELECT to_regclass('ids'), (SELECT count(*) FROM pgtrickle.pgt_stream_tables), (SELECT count(*) FROM pgtrickle.pgt_change_tracking), (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders'::regclass);
--> NULL | 0 | 0 | 0
SELECT count(*) FROM pg_class WHERE relnamespace = 'pgtrickle_changes'::regnamespace AND relkind = 'r';
--> 0

-- # an alter that is rolled back leaves the old table
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
BEGIN;
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT id::text AS id FROM orders WHERE id = 1', schedule => '2h', tier => 'cold');
--> WARNING: pg_trickle: ALTER QUERY requires full storage rebuild: column 'id' type changed from OID 23…
--> WARNING: pg_trickle: stream table public.ids ALTER QUERY applied a full refresh (schema change: inco…
ROLLBACK;
SELECT defining_query, schedule, refresh_tier FROM pgtrickle.pgt_stream_tables;
--> SELECT id FROM orders | 1h | hot
SELECT count(*), min(pg_typeof(id)::text) FROM ids;
--> 3 | integer

-- # a drop that is rolled back leaves the table and its capture
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
BEGIN;
SELECT pgtrickle.drop_stream_table('public.ids');
ROLLBACK;
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 4

-- # a whole deployment in one transaction
BEGIN;
SELECT pgtrickle.create_stream_table('public.base', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.counts', 'SELECT status, count(*) AS n FROM base GROUP BY status', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.base', tier => 'warm');
SELECT pgtrickle.create_stream_table('public.gone', 'SELECT id FROM base', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.drop_stream_table('public.gone');
COMMIT;
SELECT pgt_name, status, refresh_tier FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> base | ACTIVE | warm
--> counts | ACTIVE | hot
SELECT status, n FROM counts ORDER BY 1;
--> new | 1
--> paid | 2

-- # a change that is rolled back never arrives
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
BEGIN;
INSERT INTO orders VALUES (4, 1, 40, 'new');
ROLLBACK;
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 3

-- # a change arrives once it is committed
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
BEGIN;
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ b
SELECT count(*) FROM ids;
--> 3
COMMIT;
--@ b
SELECT pgtrickle.refresh_stream_table('public.ids');
--@ b
SELECT id FROM ids WHERE id > 3 ORDER BY 1;
--> 4

-- # a refresh by hand loses what a writer that is still open wrote before it
-- emulator: it recomputes, so the rows come with the next refresh
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
BEGIN;
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ b
INSERT INTO orders VALUES (5, 1, 50, 'new');
--@ b
SELECT pgtrickle.refresh_stream_table('public.ids');
COMMIT;
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT id FROM ids WHERE id > 3 ORDER BY 1;
--> 5

-- # several refreshes in one transaction take in what came before each, and a rollback takes them back
SELECT pgtrickle.create_stream_table('public.totals', 'SELECT status, count(*) AS n FROM orders GROUP BY status', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.large', 'SELECT status, n FROM totals WHERE n > 1', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.whole', 'SELECT id FROM orders', '1h', 'FULL');
SELECT pgtrickle.create_stream_table('public.at_once', 'SELECT id FROM orders WHERE id > 2', refresh_mode => 'IMMEDIATE');
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO orders VALUES (4, 1, 40, 'odd'), (5, 1, 40, 'odd');
SELECT pgtrickle.refresh_stream_table('public.totals');
SELECT pgtrickle.refresh_stream_table('public.large');
SELECT pgtrickle.refresh_stream_table('public.whole');
SELECT (SELECT n FROM totals WHERE status = 'odd'), (SELECT n FROM large WHERE status = 'odd'), (SELECT count(*) FROM whole), (SELECT count(*) FROM at_once);
--> 2 | 2 | 5 | 3
SAVEPOINT step;
INSERT INTO orders VALUES (6, 1, 40, 'odd');
DELETE FROM orders WHERE id = 1;
SELECT pgtrickle.refresh_stream_table('public.totals');
SELECT pgtrickle.refresh_stream_table('public.large');
SELECT pgtrickle.refresh_stream_table('public.whole');
SELECT (SELECT n FROM totals WHERE status = 'odd'), (SELECT n FROM large WHERE status = 'odd'), (SELECT count(*) FROM whole), (SELECT count(*) FROM at_once);
--> 3 | 3 | 5 | 4
SELECT count(*) FROM pgtrickle.pgt_refresh_history WHERE initiated_by = 'MANUAL' AND start_time = now();
--> 6
ROLLBACK;
SELECT (SELECT count(*) FROM totals WHERE status = 'odd'), (SELECT count(*) FROM large WHERE status = 'odd'), (SELECT count(*) FROM whole), (SELECT count(*) FROM at_once);
--> 0 | 0 | 3 | 1
SELECT count(*) FROM pgtrickle.pgt_refresh_history WHERE initiated_by = 'MANUAL';
--> 0

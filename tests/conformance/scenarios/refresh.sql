-- docs/pg_trickle.md, "Refresh and history"

-- # inserts, updates and deletes reach the table by hand
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
UPDATE orders SET status = 'void' WHERE id = 1;
DELETE FROM orders WHERE id = 2;
SELECT id FROM ids ORDER BY 1;
--> 1
--> 2
--> 3
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT id, status FROM ids ORDER BY 1;
--> 1 | void
--> 3 | paid
--> 4 | new
SELECT action, status, initiated_by FROM pgtrickle.pgt_refresh_history ORDER BY refresh_id;
--> FULL | COMPLETED | INITIAL
--> DIFFERENTIAL | COMPLETED | MANUAL

-- # rows are counted in the history
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 40, 'new'), (5, 1, 50, 'new');
SELECT pgtrickle.refresh_stream_table('public.ids');
--> INFO: Stream table public.ids refreshed (DIFFERENTIAL: +2 -0)
SELECT action, rows_inserted, rows_deleted FROM pgtrickle.get_refresh_history('public.ids', 1);
--> DIFFERENTIAL | 2 | 0
DELETE FROM orders WHERE id >= 3;
SELECT pgtrickle.refresh_stream_table('public.ids');
--> WARNING: [pg_trickle] Append-only stream table public.ids received DELETE/UPDATE — reverting to MERG…
SELECT count(*) FROM ids;
--> 2

-- # an update counts as one row inserted
-- emulator: a row's identity is its content, so an update counts as one deleted and one inserted
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL');
UPDATE orders SET status = 'void' WHERE id = 1;
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT rows_inserted, rows_deleted FROM pgtrickle.get_refresh_history('public.ids', 1);
--> 1 | 0

-- # a FULL refresh counts every row as inserted
-- emulator: FULL counts the rows that changed
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'FULL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT action, rows_inserted, rows_deleted FROM pgtrickle.get_refresh_history('public.ids', 1);
--> FULL | 4 | 0

-- # TRUNCATE reaches the table
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
-- Right after the table was filled it would be lost on some runs.
SELECT pg_sleep(1);
TRUNCATE orders;
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 0
INSERT INTO orders VALUES (7, 1, 70, 'new');
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT id FROM ids;
--> 7

-- # TRUNCATE takes the row of an aggregate without groups
-- emulator: the row stays, as the query gives it
SELECT pgtrickle.create_stream_table('public.totals', 'SELECT count(*) AS n, sum(amount) AS total FROM orders', '1h', 'DIFFERENTIAL');
SELECT pg_sleep(1);
TRUNCATE orders;
SELECT pgtrickle.refresh_stream_table('public.totals');
SELECT count(*) FROM totals;
--> 0

-- # groups come and go
SELECT pgtrickle.create_stream_table('public.sums', 'SELECT status, sum(amount) AS total, count(*) AS n, min(amount) AS least, avg(amount) AS mean FROM orders GROUP BY status', '1h', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 40, 'void');
DELETE FROM orders WHERE status = 'new';
UPDATE orders SET amount = 5 WHERE id = 2;
SELECT pgtrickle.refresh_stream_table('public.sums');
SELECT status, total, n, least, mean::numeric(10,2) FROM sums ORDER BY 1;
--> paid | 35.00 | 2 | 5.00 | 17.50
--> void | 40.00 | 1 | 40.00 | 40.00

-- # both sides of a join are followed
SELECT pgtrickle.create_stream_table('public.named', 'SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id', '1h', 'DIFFERENTIAL');
UPDATE customers SET name = 'anna' WHERE id = 1;
INSERT INTO orders VALUES (4, 3, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.named');
SELECT id, name FROM named ORDER BY 1;
--> 1 | anna
--> 2 | anna
--> 3 | bob
--> 4 | cid

-- # equal rows are kept apart
CREATE TABLE events (kind text);
INSERT INTO events VALUES ('a'), ('a'), ('b');
SELECT pgtrickle.create_stream_table('public.copied', 'SELECT kind FROM events', '1h', 'DIFFERENTIAL');
--> WARNING: pg_trickle: source table public.events has no PRIMARY KEY. Change detection will use conten…
INSERT INTO events VALUES ('b'), ('b');
SELECT pgtrickle.refresh_stream_table('public.copied');
SELECT kind, count(*) FROM copied GROUP BY 1 ORDER BY 1;
--> a | 2
--> b | 3

-- # a refresh without changes
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
CREATE TEMPORARY TABLE before AS SELECT data_timestamp, last_refresh_at FROM pgtrickle.pgt_stream_tables;
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT action, initiated_by, rows_inserted, rows_deleted FROM pgtrickle.pgt_refresh_history ORDER BY refresh_id;
--> FULL | INITIAL | 0 | 0
--> DIFFERENTIAL | MANUAL | 0 | 0
SELECT s.data_timestamp = b.data_timestamp AS data_stands_still, s.last_refresh_at > b.last_refresh_at AS refresh_moves FROM pgtrickle.pgt_stream_tables s, before b;
--> t | t

-- # a manual refresh sees the writes of its own transaction
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
BEGIN;
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 4
ROLLBACK;
SELECT count(*) FROM ids;
--> 3
SELECT count(*) FROM pgtrickle.pgt_refresh_history;
--> 1

-- # a manual refresh that fails raises the query's own error and changes nothing
SELECT pgtrickle.create_stream_table('public.shares', 'SELECT id, 100 / amount AS share FROM orders', '1h', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 0, 'new');
SELECT pgtrickle.refresh_stream_table('public.shares');
--> ERROR 22012: division by zero
SELECT status, consecutive_errors, last_error_message FROM pgtrickle.pgt_stream_tables;
--> ACTIVE | 0 | NULL
SELECT count(*) FROM shares;
--> 3
SELECT count(*) FROM pgtrickle.pgt_refresh_history;
--> 1

-- # a refresh of a table that is SUSPENDED or in ERROR is refused
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', status => 'SUSPENDED');
SELECT pgtrickle.refresh_stream_table('public.ids');
--> ERROR 22023: invalid argument: stream table public.ids is suspended ; use pgtrickle.resume_stream_ta…
SELECT pgtrickle.alter_stream_table('public.ids', status => 'ERROR');
SELECT pgtrickle.refresh_stream_table('public.ids');
--> ERROR 22023: invalid argument: stream table public.ids is in error state ; use pgtrickle.resume_stre…
SELECT pgtrickle.resume_stream_table('public.ids');
--> INFO: Stream table public.ids resumed…
SELECT pgtrickle.resume_stream_table('public.ids');
--> ERROR 22023: invalid argument: stream table public.ids is not suspended or in error state (current s…
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ACTIVE

-- # a second refresh at the same time is skipped
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
BEGIN;
SELECT pgtrickle.refresh_stream_table('public.ids');
--@ b
SELECT pgtrickle.refresh_stream_table('public.ids');
--> NOTICE: refresh skipped: public.ids — another refresh is already in progress
--@ b
SELECT count(*) FROM ids;
--> 3
COMMIT;
--@ b
SELECT count(*) FROM ids;
--> 4

-- # a row that is too wide for the index is refused
CREATE TABLE notes (id int PRIMARY KEY, body text);
SELECT pgtrickle.create_stream_table('public.copied', 'SELECT id, body FROM notes', '1h', 'DIFFERENTIAL');
INSERT INTO notes SELECT 1, string_agg(md5(n::text), '') FROM generate_series(1, 1000) n;
SELECT pgtrickle.refresh_stream_table('public.copied');
--> ERROR 54000: index row requires 32024 bytes, maximum size is 8191

-- # repair owes the table a full refresh
-- from 0.42.0: earlier versions have no repair_stream_table
SELECT pgtrickle.repair_stream_table('public.nope');
--> ERROR 42P01: stream table not found: public.nope
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.repair_stream_table('public.ids');
--> repair_stream_table(public.ids): frontier reset: scheduled full refresh on next cycle; cdc_infrastructure: verified OK; status reset: ACTIVE, errors cleared
--@ until
SELECT is_populated AND NOT needs_reinit FROM pgtrickle.pgt_stream_tables;
--> t
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ACTIVE
SELECT count(*) FROM ids;
--> 3

-- # a refresh of a top-k by hand leaves a row in the history, and the time of the last refresh as it was
-- emulator: the time moves as with other tables
SELECT pgtrickle.create_stream_table('public.top2', 'SELECT id, amount FROM orders ORDER BY amount DESC LIMIT 2', '1h', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 400, 'new');
CREATE TEMPORARY TABLE before AS SELECT last_refresh_at FROM pgtrickle.pgt_stream_tables;
SELECT pgtrickle.refresh_stream_table('public.top2');
SELECT last_refresh_at = (SELECT last_refresh_at FROM before) FROM pgtrickle.pgt_stream_tables;
--> t
SELECT action, initiated_by FROM pgtrickle.pgt_refresh_history ORDER BY refresh_id;
--> FULL | INITIAL
--> FULL | MANUAL
SELECT id FROM top2 ORDER BY id;
--> 3
--> 4

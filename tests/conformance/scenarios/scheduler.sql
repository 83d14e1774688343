-- docs/pg_trickle.md, "Scheduler"

-- # a refresh that fails in the scheduler leads to ERROR and leaves no trace but its message
-- until 0.85.0: published: it leaves a row in the history
SELECT pgtrickle.create_stream_table('public.shares', 'SELECT id, 100 / amount AS share FROM orders', '1s', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 0, 'new');
--@ until
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ERROR
SELECT consecutive_errors, left(last_error_message, 20), last_error_message LIKE '%message: "division by zero"%' FROM pgtrickle.pgt_stream_tables;
--> 0 | ErrorReportWithLevel | t
SELECT count(*) FROM pgtrickle.pgt_refresh_history WHERE status <> 'COMPLETED';
--> 0
SELECT failed_refreshes, last_status FROM pgtrickle.pg_stat_stream_tables;
--> 0 | COMPLETED
SELECT count(*) FROM pgtrickle.diagnose_errors('public.shares');
--> 0
SELECT count(*) FROM shares;
--> 3
SELECT pgtrickle.refresh_stream_table('public.shares');
--> ERROR 22023: invalid argument: stream table public.shares is in error state ; use pgtrickle.resume_s…
DELETE FROM orders WHERE id = 4;
-- In one transaction: another database's snapshot may still hide the deletion from the scheduler, which then fails again.
BEGIN;
SELECT pgtrickle.resume_stream_table('public.shares');
SELECT status, last_error_message FROM pgtrickle.pgt_stream_tables;
--> ACTIVE | NULL
COMMIT;

-- # one table's failure does not stop the others
SELECT pgtrickle.create_stream_table('public.shares', 'SELECT id, 100 / amount AS share FROM orders', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 0, 'new');
--@ until
SELECT status FROM pgtrickle.pgt_stream_tables WHERE pgt_name = 'shares';
--> ERROR
--@ until
SELECT count(*) FROM ids;
--> 4

-- # the fuse blows over too many changes
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', fuse => 'on', fuse_ceiling => 5);
INSERT INTO orders SELECT n, 1, 1, 'new' FROM generate_series(11, 30) n;
--@ until
SELECT status FROM pgtrickle.pgt_stream_tables;
--> SUSPENDED
SELECT fuse_state, blow_reason, blown_at IS NOT NULL FROM pgtrickle.pgt_stream_tables;
--> blown | change buffer count (20) exceeded ceiling (5) | t
SELECT count(*) FROM ids;
--> 3
SELECT stream_table, fuse_mode, fuse_state, fuse_ceiling, effective_ceiling FROM pgtrickle.fuse_status();
--> public.ids | on | blown | 5 | 5
SELECT pgtrickle.refresh_stream_table('public.ids');
--> ERROR 22023: invalid argument: stream table public.ids is suspended ; use pgtrickle.resume_stream_ta…
SELECT pgtrickle.reset_fuse('public.ids', 'hope');
--> ERROR 22023: invalid argument: invalid reset_fuse action: 'hope' (expected 'apply', 'reinitialize', …
SELECT pgtrickle.alter_stream_table('public.ids', fuse_ceiling => 1000);
SELECT pgtrickle.reset_fuse('public.ids');
SELECT fuse_state, status, blow_reason FROM pgtrickle.pgt_stream_tables;
--> armed | ACTIVE | NULL
--@ until
SELECT count(*) FROM ids;
--> 23

-- # a fuse that was reset over the same changes blows again
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', fuse => 'on', fuse_ceiling => 5);
INSERT INTO orders SELECT n, 1, 1, 'new' FROM generate_series(11, 30) n;
--@ until
SELECT status FROM pgtrickle.pgt_stream_tables;
--> SUSPENDED
BEGIN;
SELECT pgtrickle.reset_fuse('public.ids', 'apply');
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ACTIVE
COMMIT;
--@ until
SELECT status, fuse_state FROM pgtrickle.pgt_stream_tables;
--> SUSPENDED | blown

-- # a fuse that is not blown cannot be reset
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.reset_fuse('public.ids');
--> ERROR 22023: invalid argument: fuse is not blown for public.ids (current state: armed)
SELECT pgtrickle.reset_fuse('public.nope');
--> ERROR 42P01: stream table not found: public.nope

-- # skipped changes are lost
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.witness', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', fuse => 'on', fuse_ceiling => 5);
INSERT INTO orders SELECT n, 1, 1, 'new' FROM generate_series(11, 30) n;
--@ until
SELECT status FROM pgtrickle.pgt_stream_tables WHERE pgt_name = 'ids';
--> SUSPENDED
SELECT pgtrickle.reset_fuse('public.ids', 'skip_changes');
SELECT status, fuse_state FROM pgtrickle.pgt_stream_tables WHERE pgt_name = 'ids';
--> ACTIVE | armed
SELECT count(*) FROM ids;
--> 3

-- # a gated source holds its readers back, but not from a refresh by hand
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.gate_source('public.orders');
SELECT source_table, schema_name, gated FROM pgtrickle.source_gates();
--> orders | public | t
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ until
SELECT EXISTS (SELECT FROM pgtrickle.pgt_refresh_history WHERE action = 'SKIP' AND status = 'SKIPPED');
--> t
SELECT count(*) FROM ids;
--> 3
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 4
INSERT INTO orders VALUES (5, 1, 50, 'new');
SELECT pgtrickle.ungate_source('public.orders');
SELECT gated, ungated_at IS NOT NULL FROM pgtrickle.source_gates();
--> f | t
--@ until
SELECT count(*) FROM ids;
--> 5

-- # an unknown source cannot be gated
SELECT pgtrickle.gate_source('public.nope');
--> ERROR 42P01: relation "public.nope" does not exist

-- # a frozen table is not refreshed
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.witness', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', tier => 'frozen');
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ until
SELECT count(*) FROM witness;
--> 4
SELECT count(*) FROM ids;
--> 3
SELECT status FROM pgtrickle.pgt_stream_tables WHERE pgt_name = 'ids';
--> ACTIVE

-- # a suspended table is not refreshed
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.witness', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', status => 'SUSPENDED');
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ until
SELECT count(*) FROM witness;
--> 4
SELECT count(*) FROM ids;
--> 3

-- # a locked storage table does not hold up the others
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.witness', 'SELECT id FROM customers', '1s', 'DIFFERENTIAL');
BEGIN;
LOCK TABLE ids IN ACCESS EXCLUSIVE MODE;
--@ b
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ b
INSERT INTO customers VALUES (4, 'dan', 'eu');
--@ b until
SELECT count(*) FROM witness;
--> 4
--@ b
SELECT status, consecutive_errors, last_error_message FROM pgtrickle.pgt_stream_tables WHERE pgt_name = 'ids';
--> ACTIVE | 0 | NULL
COMMIT;
--@ until
SELECT count(*) FROM ids;
--> 4

-- # rows of a quiet source leave NO_DATA in the history
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
--@ until
SELECT EXISTS (SELECT FROM pgtrickle.pgt_refresh_history WHERE action = 'NO_DATA' AND initiated_by = 'SCHEDULER');
--> t
SELECT effective_refresh_mode FROM pgtrickle.pgt_stream_tables;
--> NO_DATA

-- # a locked source leaves no error behind
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
BEGIN;
LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;
--@ b
SELECT status, last_error_message FROM pgtrickle.pgt_stream_tables;
--> ACTIVE | NULL
COMMIT;
--@ until
SELECT count(*) FROM ids;
--> 4
SELECT status, consecutive_errors, last_error_message FROM pgtrickle.pgt_stream_tables;
--> ACTIVE | 0 | NULL

-- # writers of a source do not wait for the scheduler
SELECT pgtrickle.create_stream_table('public.slow', 'SELECT id, pg_sleep(CASE WHEN id > 3 THEN 3600 ELSE 0 END) IS NULL AS slept FROM orders', '1s', 'FULL');
SELECT pgtrickle.create_stream_table('public.other', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ until
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep');
--> t
INSERT INTO orders VALUES (5, 1, 50, 'new');
SELECT pgtrickle.refresh_stream_table('public.other');
SELECT count(*) FROM other;
--> 5
SELECT pgtrickle.alter_stream_table('public.other', schedule => '2h');
SELECT pgt_name, status FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> other | ACTIVE
--> slow | ACTIVE
DELETE FROM orders WHERE id > 3;
SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep';
--> 1

-- docs/pg_trickle.md, "Source DDL"

-- # columns of a source cannot be added, dropped or retyped
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
ALTER TABLE orders ADD COLUMN note text;
--> ERROR XX000: pg_trickle: ALTER TABLE on public.orders blocked — column-affecting DDL is not allowed …
ALTER TABLE orders DROP COLUMN status;
--> ERROR XX000: pg_trickle: ALTER TABLE on public.orders blocked — column-affecting DDL is not allowed …
ALTER TABLE orders ALTER COLUMN amount TYPE float8;
--> ERROR XX000: pg_trickle: ALTER TABLE on public.orders blocked — column-affecting DDL is not allowed …
SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0;
--> id customer_id amount status
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 4

-- # other changes of a source have no effect
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
CREATE INDEX ON orders (status);
ALTER TABLE orders ALTER COLUMN status SET DEFAULT 'new';
COMMENT ON TABLE orders IS 'what was ordered';
SELECT status, needs_reinit FROM pgtrickle.pgt_stream_tables;
--> ACTIVE | f

-- # a dropped source puts its direct readers into ERROR
-- until 0.91.0: published: its readers are SUSPENDED
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.reader', 'SELECT id FROM ids', '1h', 'DIFFERENTIAL');
DROP TABLE orders;
SELECT pgt_name, status, consecutive_errors, last_error_message FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> ids | ERROR | 0 | NULL
--> reader | ACTIVE | 0 | NULL
SELECT pgtrickle.refresh_stream_table('public.ids');
--> ERROR 22023: invalid argument: stream table public.ids is in error state ; use pgtrickle.resume_stre…
SELECT count(*) FROM ids;
--> 3
SELECT pgtrickle.drop_stream_table('public.ids', cascade => true);
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0

-- # a new table under the name of a dropped source is another table
-- until 0.91.0: published: its readers are SUSPENDED
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
DROP TABLE orders;
CREATE TABLE orders (id int PRIMARY KEY);
INSERT INTO orders VALUES (1);
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ERROR
SELECT source_relid = 'orders'::regclass FROM pgtrickle.pgt_dependencies;
--> f
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders'::regclass;
--> 0

-- # a renamed source is still captured
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
ALTER TABLE orders RENAME TO purchases;
INSERT INTO purchases VALUES (4, 1, 40, 'new');
SELECT source_relid::regclass::text FROM pgtrickle.pgt_dependencies;
--> purchases
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ACTIVE

-- # after a column was renamed, every write to the source fails
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL');
ALTER TABLE orders RENAME COLUMN status TO state;
INSERT INTO orders VALUES (4, 1, 40, 'new');
--> ERROR 42703: column n.status does not exist
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ACTIVE
SELECT count(*) FROM orders;
--> 3

-- # with the block off, a new column is taken note of
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SET pg_trickle.block_source_ddl = off;
ALTER TABLE orders ADD COLUMN note text;
SELECT needs_reinit, status FROM pgtrickle.pgt_stream_tables;
--> f | ACTIVE
INSERT INTO orders VALUES (4, 1, 40, 'new', 'a note');
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 4

-- # with the block off, a dropped column owes a full refresh, which may fail
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL');
SET pg_trickle.block_source_ddl = off;
ALTER TABLE orders DROP COLUMN status;
SELECT needs_reinit FROM pgtrickle.pgt_stream_tables;
--> t
--@ until
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ERROR

-- # another definition of a source view owes a full refresh
CREATE VIEW paid AS SELECT id FROM orders WHERE status = 'paid';
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM paid', '1h', 'DIFFERENTIAL');
CREATE OR REPLACE VIEW paid AS SELECT id FROM orders WHERE status = 'new';
SELECT needs_reinit FROM pgtrickle.pgt_stream_tables;
--> t

-- # a source that only IMMEDIATE tables read cannot get a column
-- until 0.88.0: published: the column is added
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', refresh_mode => 'IMMEDIATE');
SET pg_trickle.block_source_ddl = off;
ALTER TABLE orders ADD COLUMN note text;
--> ERROR 42P01: relation "pgtrickle_changes.changes_…" does not exist
SELECT pgtrickle.create_stream_table('public.amounts', 'SELECT id, amount FROM orders', '1h', 'DIFFERENTIAL');
ALTER TABLE orders ADD COLUMN note text;
INSERT INTO orders VALUES (4, 1, 40, 'new', 'late');
SELECT count(*) FROM ids;
--> 4

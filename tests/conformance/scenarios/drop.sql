-- docs/pg_trickle.md, "Drop"

-- # storage, catalog row and capture go
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
CREATE VIEW on_it AS SELECT id FROM ids;
SELECT pgtrickle.drop_stream_table('public.ids');
SELECT to_regclass('ids'), to_regclass('on_it'), (SELECT count(*) FROM pgtrickle.pgt_stream_tables), (SELECT count(*) FROM pgtrickle.pgt_dependencies), (SELECT count(*) FROM pgtrickle.pgt_change_tracking);
--> NULL | NULL | 0 | 0 | 0
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders'::regclass;
--> 0
INSERT INTO orders VALUES (4, 1, 40, 'new');

-- # a source that another table reads stays captured
SELECT pgtrickle.create_stream_table('public.one', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.other', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.drop_stream_table('public.one');
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.other');
SELECT count(*) FROM other;
--> 4

-- # a table that others read is refused
SELECT pgtrickle.create_stream_table('public.base', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.reader', 'SELECT id FROM base', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.drop_stream_table('public.base');
--> ERROR 22023: invalid argument: stream table public.base has dependent stream tables: public.reader. …
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 2
SELECT count(*) FROM base;
--> 3

-- # with cascade its readers go too
SELECT pgtrickle.create_stream_table('public.base', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.l', 'SELECT id FROM base WHERE id < 2', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.r', 'SELECT id FROM base WHERE id >= 2', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.tip', 'SELECT id FROM l UNION ALL SELECT id FROM r', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.drop_stream_table('public.base', cascade => true);
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0
SELECT to_regclass('base'), to_regclass('l'), to_regclass('r'), to_regclass('tip');
--> NULL | NULL | NULL | NULL

-- # an unknown table is refused, and NULL does nothing
SELECT pgtrickle.drop_stream_table('public.nope');
--> ERROR 42P01: stream table not found: public.nope
SELECT pgtrickle.drop_stream_table('public.orders');
--> ERROR 42P01: stream table not found: public.orders
SELECT pgtrickle.drop_stream_table(NULL);
--> NULL
SELECT count(*) FROM orders;
--> 3

-- # the guard function stays behind
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.drop_stream_table('public.ids');
SELECT to_regproc('public._pgt_guard_ids') IS NOT NULL;
--> t
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM customers', '1h', 'DIFFERENTIAL');
SELECT count(*) FROM ids;
--> 3

-- # an IMMEDIATE table is dropped with its triggers
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', refresh_mode => 'IMMEDIATE');
SELECT pgtrickle.drop_stream_table('public.ids');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders'::regclass;
--> 0
INSERT INTO orders VALUES (4, 1, 40, 'new');

-- # DROP TABLE of a storage table removes its catalog row
SELECT pgtrickle.create_stream_table('public.base', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.reader', 'SELECT id FROM base', '1h', 'DIFFERENTIAL');
DROP TABLE base;
SELECT pgt_name, status FROM pgtrickle.pgt_stream_tables;
--> reader | ACTIVE
SELECT pgtrickle.refresh_stream_table('public.reader');
--> ERROR 42P01: relation "base" does not exist

-- # a renamed storage table keeps its catalog name
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
ALTER TABLE ids RENAME TO others;
SELECT pgt_name, pgt_relid::regclass::text FROM pgtrickle.pgt_stream_tables;
--> ids | others
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.ids');
--> ERROR 42P01: relation "public.ids" does not exist
SELECT count(*) FROM others;
--> 3

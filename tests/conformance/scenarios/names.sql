-- docs/pg_trickle.md, "Names"

-- # a name without a schema belongs to the current schema
CREATE SCHEMA marts;
SET search_path = marts, public;
SELECT pgtrickle.create_stream_table('ids', 'SELECT id FROM public.orders', '1m', 'FULL');
SELECT pgt_schema, pgt_name, pgt_relid::regclass::text FROM pgtrickle.pgt_stream_tables;
--> marts | ids | ids

-- # a name with capitals is refused and leaves nothing
SELECT pgtrickle.create_stream_table('public.MixedCase', 'SELECT id FROM orders', '1m', 'FULL');
--> ERROR 42P01: relation "public.mixedcase" does not exist
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0
SELECT count(*) FROM pg_class WHERE relname ILIKE '%mixedcase%';
--> 0

-- # a quoted name is refused and leaves nothing
SELECT pgtrickle.create_stream_table('public."Quoted"', 'SELECT id FROM orders', '1m', 'FULL');
--> ERROR 42P01: relation "public.Quoted" does not exist
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0

-- # an ordinary table's name is taken
SELECT pgtrickle.create_stream_table('public.orders', 'SELECT id FROM customers', '1m', 'FULL');
--> ERROR 42P07: relation "orders" already exists
SELECT pgtrickle.create_or_replace_stream_table('public.orders', 'SELECT id FROM customers', '1m', 'FULL');
--> ERROR 42P07: relation "orders" already exists
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0
SELECT count(*) FROM orders;
--> 3

-- # a view's name is taken
CREATE VIEW paid AS SELECT id FROM orders WHERE status = 'paid';
SELECT pgtrickle.create_stream_table('public.paid', 'SELECT id FROM customers', '1m', 'FULL');
--> ERROR 42P07: relation "paid" already exists
SELECT count(*) FROM paid;
--> 2

-- # a stream table's name is taken, unless it is asked for
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1m', 'FULL');
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM customers', '1m', 'FULL');
--> ERROR 42P07: stream table already exists: public.ids
SELECT pgtrickle.create_stream_table_if_not_exists('public.ids', 'SELECT id FROM customers', '5m', 'FULL');
SELECT defining_query, schedule FROM pgtrickle.pgt_stream_tables;
--> SELECT id FROM orders | 1m

-- # a schema that does not exist is refused
SELECT pgtrickle.create_stream_table('nowhere.ids', 'SELECT id FROM orders', '1m', 'FULL');
--> ERROR 3F000: schema "nowhere" does not exist
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0

-- # a name or a query that is NULL is refused
SELECT pgtrickle.create_stream_table(NULL, 'SELECT id FROM orders', '1m', 'FULL');
--> ERROR XX000: argument 0 must not be null
SELECT pgtrickle.create_stream_table('public.ids', NULL, '1m', 'FULL');
--> ERROR XX000: argument 1 must not be null
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0

-- # a schema for change buffers whose name needs quotes takes none
CREATE SCHEMA "My Buffers";
CREATE SCHEMA "MyBuffers";
SET pg_trickle.change_buffer_schema = 'My Buffers';
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
--> ERROR 42601: syntax error at or near "Buffers"
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'FULL');
--> ERROR 42601: syntax error at or near "Buffers"
SELECT pgtrickle.create_stream_table('public.at_once', 'SELECT id FROM orders', refresh_mode => 'IMMEDIATE');
SET pg_trickle.change_buffer_schema = 'MyBuffers';
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
--> ERROR 3F000: schema "mybuffers" does not exist
SELECT pgt_name FROM pgtrickle.pgt_stream_tables;
--> at_once

-- # a source whose name needs quotes cannot be refreshed, unless it has an alias
-- emulator: it quotes the names of sources
CREATE TABLE "odd table" (id int PRIMARY KEY);
SELECT pgtrickle.create_stream_table('public.odd', 'SELECT id FROM public."odd table"', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.aliased', 'SELECT id FROM public."odd table" AS odd_table', '1h', 'DIFFERENTIAL');
INSERT INTO "odd table" VALUES (1);
SELECT pgtrickle.refresh_stream_table('public.aliased');
SELECT count(*) FROM aliased;
--> 1
SELECT pgtrickle.refresh_stream_table('public.odd');
--> ERROR 42601: syntax error at or near "table_1"
SELECT pgtrickle.create_stream_table('public.now', 'SELECT id FROM public."odd table"', refresh_mode => 'IMMEDIATE');
INSERT INTO "odd table" VALUES (2);
--> ERROR 42601: syntax error at or near "table_1"

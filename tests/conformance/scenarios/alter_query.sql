-- docs/pg_trickle.md, "Changing the query"

-- # the same columns keep the storage table
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL');
CREATE TEMPORARY TABLE before AS SELECT pgt_relid FROM pgtrickle.pgt_stream_tables;
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT id, status FROM orders WHERE status = ''paid''');
--> WARNING: pg_trickle: stream table public.ids ALTER QUERY applied a full refresh (schema change: same…
SELECT pgt_relid = (SELECT pgt_relid FROM before), defining_query, status FROM pgtrickle.pgt_stream_tables;
--> t | SELECT id, status FROM orders WHERE status = 'paid' | ACTIVE
SELECT id FROM ids ORDER BY 1;
--> 2
--> 3
SELECT action, initiated_by FROM pgtrickle.pgt_refresh_history ORDER BY refresh_id;
--> FULL | INITIAL

-- # the same query is refreshed in full
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT id FROM orders');
--> WARNING: pg_trickle: stream table public.ids ALTER QUERY applied a full refresh (schema change: same…
SELECT action, initiated_by FROM pgtrickle.pgt_refresh_history ORDER BY refresh_id;
--> FULL | INITIAL

-- # a column at the end is added in place
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL');
CREATE VIEW on_it AS SELECT id FROM ids;
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT id, status, amount FROM orders');
--> WARNING: pg_trickle: stream table public.ids ALTER QUERY applied a full refresh (schema change: comp…
SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'ids' ORDER BY ordinal_position;
--> __pgt_row_id | bigint
--> id | integer
--> status | text
--> amount | numeric
SELECT id, status, amount FROM ids ORDER BY 1;
--> 1 | new | 10.00
--> 2 | paid | 20.00
--> 3 | paid | 30.00
SELECT to_regclass('on_it');
--> on_it

-- # a column added in place to what others read ends its refreshes
-- emulator: its buffers have no copies of columns
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.reader', 'SELECT id FROM ids', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT id, status, amount FROM orders');
--> WARNING: pg_trickle: stream table public.ids ALTER QUERY applied a full refresh (schema change: comp…
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.ids');
--> ERROR 42703: …
SELECT pgtrickle.alter_stream_table('public.reader', query => 'SELECT id FROM ids WHERE id > 0');
--> WARNING: pg_trickle: stream table public.reader ALTER QUERY applied a full refresh (schema change: s…
SELECT pgtrickle.refresh_stream_table('public.ids');
--> ERROR 42703: …

-- # a column dropped in place from what others read does not
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, status, amount FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.reader', 'SELECT id FROM ids', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT id, status FROM orders');
--> WARNING: pg_trickle: stream table public.ids ALTER QUERY applied a full refresh (schema change: comp…
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT pgtrickle.refresh_stream_table('public.reader');
SELECT count(*) FROM reader;
--> 4

-- # a column is dropped in place
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, status, amount FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT id, status FROM orders');
--> WARNING: pg_trickle: stream table public.ids ALTER QUERY applied a full refresh (schema change: comp…
SELECT column_name FROM information_schema.columns WHERE table_name = 'ids' ORDER BY ordinal_position;
--> __pgt_row_id
--> id
--> status
SELECT id, status FROM ids ORDER BY 1;
--> 1 | new
--> 2 | paid
--> 3 | paid

-- # a column that a view uses cannot go
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL');
CREATE VIEW on_it AS SELECT status FROM ids;
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT id FROM orders');
--> ERROR 2BP01: cannot drop column status of table ids because other objects depend on it
SELECT defining_query FROM pgtrickle.pgt_stream_tables;
--> SELECT id, status FROM orders
SELECT count(*) FROM on_it;
--> 3

-- # a type that casts implicitly counts as the same
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, customer_id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT id, customer_id::bigint AS customer_id FROM orders');
--> WARNING: pg_trickle: stream table public.ids ALTER QUERY applied a full refresh (schema change: same…
SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'ids' ORDER BY ordinal_position;
--> __pgt_row_id | bigint
--> id | integer
--> customer_id | integer

-- # a type that does not is a rebuild, and views on the table are gone
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, customer_id FROM orders', '1h', 'DIFFERENTIAL');
CREATE VIEW on_it AS SELECT id FROM ids;
CREATE TEMPORARY TABLE before AS SELECT pgt_relid FROM pgtrickle.pgt_stream_tables;
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT id, customer_id::text AS customer_id FROM orders');
--> WARNING: pg_trickle: ALTER QUERY requires full storage rebuild: column 'customer_id' type changed fr…
--> WARNING: pg_trickle: stream table public.ids ALTER QUERY applied a full refresh (schema change: inco…
SELECT pgt_relid = (SELECT pgt_relid FROM before) AS same, status, is_populated FROM pgtrickle.pgt_stream_tables;
--> f | ACTIVE | t
SELECT to_regclass('on_it');
--> NULL
SELECT id, customer_id FROM ids ORDER BY 1;
--> 1 | 1
--> 2 | 1
--> 3 | 2

-- # a suspended table is ACTIVE afterwards
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', status => 'SUSPENDED');
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT id FROM orders WHERE id > 1');
--> WARNING: pg_trickle: stream table public.ids ALTER QUERY applied a full refresh (schema change: same…
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ACTIVE

-- # a column in the middle puts values into the wrong columns
-- emulator: a changed query fills the storage by name
SELECT pgtrickle.create_stream_table('public.pairs', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.pairs', query => 'SELECT id, customer_id::text AS customer, status FROM orders');
--> WARNING: pg_trickle: stream table public.pairs ALTER QUERY applied a full refresh (schema change: co…
SELECT id, status, customer FROM pairs ORDER BY 1;
--> 1 | 1 | new
--> 2 | 1 | paid
--> 3 | 2 | paid

-- # a new source is captured, an old one no longer
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT id FROM customers');
--> WARNING: pg_trickle: stream table public.ids ALTER QUERY applied a full refresh (schema change: same…
SELECT source_relid::regclass::text, source_type FROM pgtrickle.pgt_dependencies;
--> customers | TABLE
INSERT INTO customers VALUES (4, 'dan', 'eu');
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 4
SELECT source_relid::regclass::text FROM pgtrickle.pgt_change_tracking;
--> customers

-- # readers are not checked, and fail at their next refresh
SELECT pgtrickle.create_stream_table('public.base', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.reader', 'SELECT id, status FROM base', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.base', query => 'SELECT id FROM orders');
--> WARNING: pg_trickle: stream table public.base ALTER QUERY applied a full refresh (schema change: com…
SELECT pgt_name, status FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> base | ACTIVE
--> reader | ACTIVE
SELECT pgtrickle.refresh_stream_table('public.reader');
--> ERROR 42703: column "status" does not exist

-- # a query that is wrong leaves the table as it was
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT nope FROM orders');
--> ERROR 42703: column "nope" does not exist
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT id FROM nowhere');
--> ERROR 42P01: relation "nowhere" does not exist
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT id FROM orders;');
--> ERROR 42601: syntax error at or near ";"
SELECT pgtrickle.alter_stream_table('public.ids', query => '');
--> ERROR 42000: query parse error: raw_parser returned NULL
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT 1 / 0 AS id FROM orders');
--> ERROR 22012: division by zero
SELECT pgtrickle.alter_stream_table('public.ids', query => 'SELECT random() AS id FROM orders');
--> ERROR 0A000: unsupported operator for DIFFERENTIAL mode: Defining query contains volatile expression…
SELECT defining_query, status, is_populated FROM pgtrickle.pgt_stream_tables;
--> SELECT id FROM orders | ACTIVE | t
SELECT id FROM ids ORDER BY 1;
--> 1
--> 2
--> 3

-- # a cycle is refused
SELECT pgtrickle.create_stream_table('public.base', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.reader', 'SELECT id FROM base', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.base', query => 'SELECT id FROM reader');
--> ERROR 42P15: cycle detected in dependency graph: …
SELECT pgtrickle.alter_stream_table('public.base', query => 'SELECT id FROM base');
--> ERROR 42P15: cycle detected in dependency graph: …
SELECT pgt_name, defining_query FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> base | SELECT id FROM orders
--> reader | SELECT id FROM base

-- docs/pg_trickle.md, "Errors"

-- # 42P01: an unknown stream table
SELECT pgtrickle.refresh_stream_table('public.nope');
--> ERROR 42P01: stream table not found: public.nope
SELECT pgtrickle.alter_stream_table('public.nope', schedule => '1h');
--> ERROR 42P01: stream table not found: public.nope
SELECT pgtrickle.drop_stream_table('public.nope');
--> ERROR 42P01: stream table not found: public.nope
SELECT pgtrickle.resume_stream_table('public.nope');
--> ERROR 42P01: stream table not found: public.nope

-- # 42P01, 42703, 42701, 42601: PostgreSQL's own errors about the query
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM nowhere', '1m', 'DIFFERENTIAL');
--> ERROR 42P01: relation "nowhere" does not exist
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT nope FROM orders', '1m', 'DIFFERENTIAL');
--> ERROR 42703: column "nope" does not exist
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id, id FROM orders', '1m', 'DIFFERENTIAL');
--> ERROR 42701: column "id" specified more than once
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT FROM WHERE', '1m', 'DIFFERENTIAL');
--> ERROR 42601: syntax error at or near "WHERE"
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT nope(id) FROM orders', '1m', 'DIFFERENTIAL');
--> ERROR 42883: function nope(integer) does not exist
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT status, count(*) FROM orders', '1m', 'DIFFERENTIAL');
--> ERROR 42803: column "orders.status" must appear in the GROUP BY clause or be used in an aggregate fu…
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0

-- # 42000: what is no query
SELECT pgtrickle.create_stream_table('public.bad', '', '1m', 'DIFFERENTIAL');
--> ERROR 42000: query parse error: raw_parser returned NULL
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT 1 AS one', '1m', 'DIFFERENTIAL');
--> ERROR 42000: query parse error: Defining query must have a FROM clause (op=0, all=false, larg_null=t…
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders; SELECT id FROM customers', '1m', 'DIFFERENTIAL');
--> ERROR 42000: query parse error: Expected 1 statement, got 2
SELECT pgtrickle.create_stream_table('public.bad', 'DELETE FROM orders', '1m', 'DIFFERENTIAL');
--> ERROR 42000: query parse error: Defining query returns no columns
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0
SELECT count(*) FROM orders;
--> 3

-- # 0A000: what is not supported
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders LIMIT 5', '1m', 'DIFFERENTIAL');
--> ERROR 0A000: unsupported operator for DIFFERENTIAL mode: LIMIT is not supported in defining queries …
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders OFFSET 5', '1m', 'DIFFERENTIAL');
--> ERROR 0A000: unsupported operator for DIFFERENTIAL mode: OFFSET is not supported in defining queries…
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders FOR UPDATE', '1m', 'DIFFERENTIAL');
--> ERROR 0A000: unsupported operator for DIFFERENTIAL mode: FOR UPDATE/FOR SHARE is not supported in de…
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders ORDER BY id LIMIT 1 + 2', '1m', 'DIFFERENTIAL');
--> ERROR 0A000: unsupported operator for DIFFERENTIAL mode: LIMIT in defining queries must be a constan…
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0

-- # 22012: a query that fails while the table is filled leaves nothing
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id, 1 / (id - 1) AS x FROM orders', '1h', 'DIFFERENTIAL');
--> ERROR 22012: division by zero
SELECT to_regclass('public.bad'), (SELECT count(*) FROM pgtrickle.pgt_stream_tables), (SELECT count(*) FROM pgtrickle.pgt_change_tracking), (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders'::regclass);
--> NULL | 0 | 0 | 0

-- # AUTO becomes FULL for a query that locks rows
SELECT pgtrickle.create_stream_table('public.locking', 'SELECT id FROM orders FOR UPDATE', '1m', 'AUTO');
--> WARNING: [pg_trickle] Falling back to FULL refresh: unsupported construct in defining query.\nConstr…
--> WARNING: [pg_trickle] Stream table 'public.locking' will use FULL refresh instead of DIFFERENTIAL. E…
SELECT refresh_mode FROM pgtrickle.pgt_stream_tables;
--> FULL

-- # 42501: a system catalog
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT relname FROM pg_class', '1m', 'FULL');
--> ERROR 42501: permission denied: "pg_class" is a system catalog
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0

-- # XX000 and 22000: the odd ones
SELECT * FROM pgtrickle.diagnose_errors('public.nope');
--> ERROR XX000: diagnose_errors: stream table not found: public.nope
SELECT pgtrickle.export_definition('public.nope');
--> ERROR 22000: stream table not found: public.nope
SELECT pgtrickle.create_stream_table('public.bad', NULL, '1m');
--> ERROR XX000: argument 1 must not be null

-- # a temporary table is no source
CREATE TEMPORARY TABLE scratch (id int PRIMARY KEY);
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM scratch', '1m', 'DIFFERENTIAL');
--> ERROR 42P01: stream table not found: table 'scratch' not found in the current search_path…
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0

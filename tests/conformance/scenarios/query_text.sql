-- docs/pg_trickle.md, "Query text"

-- # a query is kept as it was written
SELECT pgtrickle.create_stream_table('public.kept', '  SELECT   id, /* the sum */ amount
FROM  Orders  ', '1m', 'DIFFERENTIAL');
--> WARNING: pg_trickle: defining query uses SELECT *. If source table columns are added or removed, the…
SELECT defining_query, original_query FROM pgtrickle.pgt_stream_tables;
-->   SELECT   id, /* the sum */ amount\nFROM  Orders   | NULL

-- # a trailing semicolon is a syntax error
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders;', '1m', 'DIFFERENTIAL');
--> ERROR 42601: syntax error at or near ";"
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders;', '1m', 'FULL');
--> ERROR 42601: syntax error at or near ";"
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0
SELECT to_regclass('public.bad');
--> NULL

-- # a trailing comment without a line end is a syntax error
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders -- all', '1m', 'DIFFERENTIAL');
--> ERROR 42601: syntax error at end of input
SELECT pgtrickle.create_stream_table('public.good', E'SELECT id FROM orders -- all\n', '1m', 'DIFFERENTIAL');
SELECT pgt_name FROM pgtrickle.pgt_stream_tables;
--> good

-- # what the user wrote is the text to compare, also where the query was rewritten
CREATE VIEW paid AS SELECT id, amount FROM orders WHERE status = 'paid';
SELECT pgtrickle.create_stream_table('public.over_view', 'SELECT id, amount FROM paid', '1m', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.first_orders', 'SELECT DISTINCT ON (customer_id) customer_id, id FROM orders ORDER BY customer_id, id', '1m', 'DIFFERENTIAL');
SELECT pgt_name, coalesce(original_query, defining_query), original_query IS NOT NULL AS rewritten, defining_query <> original_query AS differs FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> first_orders | SELECT DISTINCT ON (customer_id) customer_id, id FROM orders ORDER BY customer_id, id | t | t
--> over_view | SELECT id, amount FROM paid | t | t
SELECT id, amount FROM over_view ORDER BY 1;
--> 2 | 20.00
--> 3 | 30.00
SELECT customer_id, id FROM first_orders ORDER BY 1;
--> 1 | 1
--> 2 | 3

-- # a top-k query is taken apart
SELECT pgtrickle.create_stream_table('public.top2', 'SELECT id, amount FROM orders ORDER BY amount DESC LIMIT 2', '1m', 'DIFFERENTIAL');
SELECT defining_query, original_query, topk_limit, topk_order_by, topk_offset, effective_refresh_mode FROM pgtrickle.pgt_stream_tables;
--> SELECT id, amount FROM orders | SELECT id, amount FROM orders ORDER BY amount DESC LIMIT 2 | 2 | amount DESC | NULL | TOP_K
SELECT id, amount FROM top2 ORDER BY 1;
--> 2 | 20.00
--> 3 | 30.00
SELECT is_topk FROM pgtrickle.stream_tables_info;
--> t

-- # a top-k query with an offset
SELECT pgtrickle.create_stream_table('public.second', 'SELECT id, amount FROM orders ORDER BY amount DESC LIMIT 1 OFFSET 1', '1m', 'DIFFERENTIAL');
SELECT defining_query, topk_limit, topk_order_by, topk_offset FROM pgtrickle.pgt_stream_tables;
--> SELECT id, amount FROM orders | 1 | amount DESC | 1
SELECT id, amount FROM second;
--> 2 | 20.00

-- # a star draws a warning
SELECT pgtrickle.create_stream_table('public.all_customers', 'SELECT * FROM customers', '1m', 'DIFFERENTIAL');
--> WARNING: pg_trickle: defining query uses SELECT *. If source table columns are added or removed, the…
SELECT pgtrickle.create_stream_table('public.doubled', 'SELECT id, amount * 2 AS twice FROM orders', '1m', 'DIFFERENTIAL');
--> WARNING: pg_trickle: defining query uses SELECT *. If source table columns are added or removed, the…
SELECT pgtrickle.create_stream_table('public.counted', 'SELECT count(*) AS n FROM orders', '1m', 'DIFFERENTIAL');

-- # an ORDER BY alone draws a warning
SELECT pgtrickle.create_stream_table('public.sorted', 'SELECT id, amount FROM orders ORDER BY amount', '1m', 'DIFFERENTIAL');
--> WARNING: pg_trickle: ORDER BY without LIMIT has no effect on stream tables — storage row order is un…
SELECT defining_query, original_query FROM pgtrickle.pgt_stream_tables;
--> SELECT id, amount FROM orders ORDER BY amount | NULL

-- # a source without a primary key draws a warning
CREATE TABLE events (kind text, at date);
INSERT INTO events VALUES ('a', '2026-01-01'), ('a', '2026-01-01');
SELECT pgtrickle.create_stream_table('public.copied', 'SELECT kind, at FROM events', '1m', 'DIFFERENTIAL');
--> WARNING: pg_trickle: source table public.events has no PRIMARY KEY. Change detection will use conten…
SELECT has_keyless_source FROM pgtrickle.pgt_stream_tables;
--> t
SELECT kind, at FROM copied;
--> a | 2026-01-01
--> a | 2026-01-01

-- # names in a query are looked up at each refresh
CREATE SCHEMA other;
CREATE TABLE other.things (id int PRIMARY KEY);
CREATE TABLE public.things (id int PRIMARY KEY);
INSERT INTO other.things VALUES (1);
INSERT INTO public.things VALUES (2);
SET search_path = other, public;
SELECT pgtrickle.create_stream_table('public.copied', 'SELECT id FROM things', '1h', 'FULL');
SELECT id FROM public.copied;
--> 1
SET search_path = public;
SELECT pgtrickle.refresh_stream_table('public.copied');
SELECT id FROM public.copied;
--> 2

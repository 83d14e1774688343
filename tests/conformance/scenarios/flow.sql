-- docs/pg_trickle.md, "Scheduler"

-- # a chain is refreshed from its source to its end
SELECT pgtrickle.create_stream_table('public.paid', 'SELECT id, customer_id, amount FROM orders WHERE status = ''paid''', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.totals', 'SELECT customer_id, sum(amount) AS total FROM paid GROUP BY customer_id', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.big', 'SELECT customer_id, total FROM totals WHERE total > 25', '1s', 'DIFFERENTIAL');
SELECT customer_id, total FROM big ORDER BY 1;
--> 2 | 30.00
UPDATE orders SET status = 'paid' WHERE id = 1;
--@ until
SELECT count(*) = 2 FROM big;
--> t
SELECT customer_id, total FROM big ORDER BY 1;
--> 1 | 30.00
--> 2 | 30.00
DELETE FROM orders WHERE customer_id = 2;
--@ until
SELECT count(*) = 1 FROM big;
--> t

-- # a chain is refreshed by hand in its order
SELECT pgtrickle.create_stream_table('public.paid', 'SELECT id, customer_id, amount FROM orders WHERE status = ''paid''', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.totals', 'SELECT customer_id, sum(amount) AS total FROM paid GROUP BY customer_id', '1h', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 2, 5, 'paid');
SELECT pgtrickle.refresh_stream_table('public.totals');
SELECT customer_id, total FROM totals ORDER BY 1;
--> 1 | 20.00
--> 2 | 30.00
SELECT pgtrickle.refresh_stream_table('public.paid');
SELECT pgtrickle.refresh_stream_table('public.totals');
SELECT customer_id, total FROM totals ORDER BY 1;
--> 1 | 20.00
--> 2 | 35.00

-- # a diamond meets again
SELECT pgtrickle.create_stream_table('public.base', 'SELECT id, customer_id, amount FROM orders', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.counts', 'SELECT customer_id, count(*) AS n FROM base GROUP BY customer_id', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.sums', 'SELECT customer_id, sum(amount) AS total FROM base GROUP BY customer_id', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.means', 'SELECT c.customer_id, c.n, s.total FROM counts c JOIN sums s ON s.customer_id = c.customer_id', '1s', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 3, 40, 'new'), (5, 3, 2, 'new');
DELETE FROM orders WHERE customer_id = 2;
--@ until
SELECT customer_id, n, total FROM means ORDER BY 1;
--> 1 | 2 | 30.00
--> 3 | 2 | 42.00

-- # TRUNCATE runs down a chain
SELECT pgtrickle.create_stream_table('public.base', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.reader', 'SELECT id FROM base WHERE id > 1', '1h', 'DIFFERENTIAL');
-- Right after the tables were filled it would be lost on some runs.
SELECT pg_sleep(1);
TRUNCATE orders;
SELECT pgtrickle.refresh_stream_table('public.base');
SELECT pgtrickle.refresh_stream_table('public.reader');
SELECT (SELECT count(*) FROM base), (SELECT count(*) FROM reader);
--> 0 | 0

-- # a FULL table reads a differential one
SELECT pgtrickle.create_stream_table('public.base', 'SELECT id, status FROM orders', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.counts', 'SELECT status, count(*) AS n FROM base GROUP BY status', '1s', 'FULL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ until
SELECT n FROM counts WHERE status = 'new';
--> 2

-- # a differential table reads a FULL one
SELECT pgtrickle.create_stream_table('public.base', 'SELECT id, status FROM orders', '1s', 'FULL');
SELECT pgtrickle.create_stream_table('public.counts', 'SELECT status, count(*) AS n FROM base GROUP BY status', '1s', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
DELETE FROM orders WHERE id = 2;
--@ until
SELECT string_agg(status || n, ' ' ORDER BY status) FROM counts;
--> new2 paid1

-- # a view between a source and a table is followed
CREATE VIEW paid AS SELECT id, amount FROM orders WHERE status = 'paid';
SELECT pgtrickle.create_stream_table('public.total', 'SELECT sum(amount) AS total FROM paid', '1s', 'DIFFERENTIAL');
UPDATE orders SET status = 'paid';
--@ until
SELECT total FROM total;
--> 60.00

-- # a top-k table lets rows in and out
SELECT pgtrickle.create_stream_table('public.top2', 'SELECT id, amount FROM orders ORDER BY amount DESC LIMIT 2', '1s', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ until
SELECT string_agg(id::text, ',' ORDER BY id) FROM top2;
--> 3,4
DELETE FROM orders WHERE id IN (3, 4);
--@ until
SELECT string_agg(id::text, ',' ORDER BY id) FROM top2;
--> 1,2

-- # several changes of a row between two refreshes
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
UPDATE orders SET status = 'paid' WHERE id = 4;
UPDATE orders SET id = 14 WHERE id = 4;
DELETE FROM orders WHERE id = 1;
INSERT INTO orders VALUES (1, 1, 10, 'back');
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT id, status FROM ids ORDER BY 1;
--> 1 | back
--> 2 | paid
--> 3 | paid
--> 14 | paid

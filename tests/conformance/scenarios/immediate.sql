-- docs/pg_trickle.md, "Refresh modes"

-- # every kind of write is followed at once
SELECT pgtrickle.create_stream_table('public.totals', 'SELECT status, sum(amount) AS total FROM orders GROUP BY status', refresh_mode => 'IMMEDIATE');
INSERT INTO orders VALUES (4, 1, 40, 'void');
SELECT status, total FROM totals ORDER BY 1;
--> new | 10.00
--> paid | 50.00
--> void | 40.00
UPDATE orders SET amount = 1 WHERE status = 'paid';
SELECT status, total FROM totals ORDER BY 1;
--> new | 10.00
--> paid | 2.00
--> void | 40.00
DELETE FROM orders WHERE status = 'void';
SELECT status, total FROM totals ORDER BY 1;
--> new | 10.00
--> paid | 2.00
TRUNCATE orders;
--> ERROR 42703: column "__pgt_count" does not exist
SELECT count(*) FROM totals;
--> 2

-- # within the writer's transaction, and undone with it
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', refresh_mode => 'IMMEDIATE');
BEGIN;
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT count(*) FROM ids;
--> 4
--@ b
SELECT count(*) FROM ids;
--> 3
ROLLBACK;
SELECT count(*) FROM ids;
--> 3

-- # a query that fails makes the write fail
SELECT pgtrickle.create_stream_table('public.shares', 'SELECT id, 100 / amount AS share FROM orders', refresh_mode => 'IMMEDIATE');
INSERT INTO orders VALUES (4, 1, 0, 'new');
--> ERROR 22012: division by zero
SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM shares);
--> 3 | 3
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ACTIVE

-- # it has triggers of its own and no tracking row
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', refresh_mode => 'IMMEDIATE');
SELECT count(*) FROM pgtrickle.pgt_change_tracking;
--> 0
SELECT count(*) > 0, bool_and(tgname LIKE 'pgt\_ivm\_%') FROM pg_trigger WHERE tgrelid = 'orders'::regclass;
--> t | t

-- # it is never stale
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', refresh_mode => 'IMMEDIATE');
SELECT stale, schedule, refresh_mode FROM pgtrickle.pg_stat_stream_tables;
--> NULL | NULL | IMMEDIATE

-- # a suspended one does not follow
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', refresh_mode => 'IMMEDIATE');
SELECT pgtrickle.alter_stream_table('public.ids', status => 'SUSPENDED');
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT count(*) FROM ids;
--> 4

-- # a join is followed on both sides
SELECT pgtrickle.create_stream_table('public.named', 'SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id', refresh_mode => 'IMMEDIATE');
INSERT INTO orders VALUES (4, 3, 40, 'new');
UPDATE customers SET name = 'anna' WHERE id = 1;
SELECT id, name FROM named ORDER BY 1;
--> 1 | anna
--> 2 | anna
--> 3 | bob
--> 4 | cid

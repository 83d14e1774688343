-- docs/pg_trickle.md, "Refresh modes"

-- # FULL and DIFFERENTIAL are stored as given
SELECT pgtrickle.create_stream_table('public.f', 'SELECT region, count(*) AS n FROM customers GROUP BY region', '1m', 'FULL');
SELECT pgtrickle.create_stream_table('public.d', 'SELECT region, count(*) AS n FROM customers GROUP BY region', '1m', 'DIFFERENTIAL');
SELECT pgt_name, refresh_mode, effective_refresh_mode, status, is_populated FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> d | DIFFERENTIAL | DIFFERENTIAL | ACTIVE | t
--> f | FULL | FULL | ACTIVE | t
SELECT region, n FROM f ORDER BY 1;
--> eu | 2
--> us | 1
SELECT region, n FROM d ORDER BY 1;
--> eu | 2
--> us | 1

-- # the default mode AUTO becomes DIFFERENTIAL where it can be
SELECT pgtrickle.create_stream_table('public.auto', 'SELECT id, amount FROM orders WHERE status = ''paid''', '5m');
SELECT pgtrickle.create_stream_table('public.same', 'SELECT id, amount FROM orders WHERE status = ''paid''', '5m', 'auto');
SELECT pgt_name, refresh_mode, effective_refresh_mode, schedule FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> auto | DIFFERENTIAL | DIFFERENTIAL | 5m
--> same | DIFFERENTIAL | DIFFERENTIAL | 5m

-- # AUTO becomes FULL, with warnings, for a sample
SELECT pgtrickle.create_stream_table('public.sampled', 'SELECT id FROM orders TABLESAMPLE BERNOULLI (100)', '5m', 'AUTO');
--> WARNING: [pg_trickle] Falling back to FULL refresh: unsupported construct in defining query.\nConstr…
--> WARNING: [pg_trickle] Stream table 'public.sampled' will use FULL refresh instead of DIFFERENTIAL. E…
SELECT refresh_mode, effective_refresh_mode FROM pgtrickle.pgt_stream_tables;
--> FULL | FULL

-- # AUTO becomes FULL, with warnings, for a materialized view
CREATE MATERIALIZED VIEW paid AS SELECT id, amount FROM orders WHERE status = 'paid';
SELECT pgtrickle.create_stream_table('public.over_paid', 'SELECT id, amount FROM paid', '5m', 'AUTO');
--> WARNING: [pg_trickle] Falling back to FULL refresh: query references materialized views or foreign t…
--> WARNING: [pg_trickle] Stream table 'public.over_paid' will use FULL refresh instead of DIFFERENTIAL.…
SELECT refresh_mode FROM pgtrickle.pgt_stream_tables;
--> FULL
SELECT source_type FROM pgtrickle.pgt_dependencies;
--> MATVIEW

-- # AUTO becomes FULL, with warnings, for a LIMIT in a subquery
SELECT pgtrickle.create_stream_table('public.few', 'SELECT id FROM (SELECT id FROM orders ORDER BY id LIMIT 2) AS first', '5m', 'AUTO');
--> WARNING: [pg_trickle] Falling back to FULL refresh: query cannot use differential maintenance (unsup…
--> WARNING: [pg_trickle] Stream table 'public.few' will use FULL refresh instead of DIFFERENTIAL. Each…
SELECT refresh_mode FROM pgtrickle.pgt_stream_tables;
--> FULL
SELECT id FROM few ORDER BY 1;
--> 1
--> 2

-- # DIFFERENTIAL is refused where AUTO becomes FULL
CREATE MATERIALIZED VIEW paid AS SELECT id FROM orders WHERE status = 'paid';
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders TABLESAMPLE BERNOULLI (50)', '5m', 'DIFFERENTIAL');
--> ERROR 0A000: unsupported operator for DIFFERENTIAL mode: TABLESAMPLE at line 1, column 35 is not sup…
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM paid', '5m', 'DIFFERENTIAL');
--> ERROR 0A000: unsupported operator for DIFFERENTIAL mode: Materialized view 'public.paid' cannot be u…
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM (SELECT id FROM orders ORDER BY id LIMIT 2) AS first', '5m', 'DIFFERENTIAL');
--> ERROR 0A000: unsupported operator for DIFFERENTIAL mode: LIMIT is not supported in the DVM pipeline.…
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0

-- # a volatile function is refused in every mode but FULL
SELECT pgtrickle.create_stream_table('public.lucky', 'SELECT id, random() AS r FROM orders', '5m', 'AUTO');
--> ERROR 0A000: unsupported operator for DIFFERENTIAL mode: Defining query contains volatile expression…
SELECT pgtrickle.create_stream_table('public.lucky', 'SELECT id, random() AS r FROM orders', '5m', 'DIFFERENTIAL');
--> ERROR 0A000: unsupported operator for DIFFERENTIAL mode: Defining query contains volatile expression…
SELECT pgtrickle.create_stream_table('public.lucky', 'SELECT id, random() AS r FROM orders', '5m', 'IMMEDIATE');
--> ERROR 0A000: unsupported operator for DIFFERENTIAL mode: Defining query contains volatile expression…
SELECT pgtrickle.create_stream_table('public.lucky', 'SELECT id, random() AS r FROM orders', '5m', 'FULL');
--> WARNING: pg_trickle: defining query contains a volatile/non-deterministic function ('random()') that…
SELECT refresh_mode FROM pgtrickle.pgt_stream_tables;
--> FULL

-- # a stable function draws a warning
SELECT pgtrickle.create_stream_table('public.fresh', 'SELECT id, now() AS seen_at FROM orders', '5m', 'DIFFERENTIAL');
--> WARNING: Defining query contains stable functions (e.g., now(), current_timestamp). These return the…
--> WARNING: pg_trickle: defining query contains a volatile/non-deterministic function ('now()') that ma…
SELECT pgtrickle.create_stream_table('public.today', 'SELECT id, current_date AS day FROM orders', '5m', 'FULL');
--> WARNING: pg_trickle: defining query contains a volatile/non-deterministic function ('current_date') …

-- # INCREMENTAL is another word for DIFFERENTIAL
SELECT pgtrickle.create_stream_table('public.inc', 'SELECT id FROM orders', '1m', 'INCREMENTAL');
SELECT refresh_mode FROM pgtrickle.pgt_stream_tables;
--> DIFFERENTIAL

-- # a word that is no mode is refused
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders', '1m', 'SOMETIMES');
--> ERROR 22023: invalid argument: unknown refresh mode: SOMETIMES. Must be 'AUTO', 'FULL', 'DIFFERENTIA…
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders', '1m', '');
--> ERROR 22023: invalid argument: unknown refresh mode: . Must be 'AUTO', 'FULL', 'DIFFERENTIAL', or 'I…
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0

-- # IMMEDIATE has no schedule, whatever is said
SELECT pgtrickle.create_stream_table('public.now', 'SELECT id, name FROM customers WHERE region = ''eu''', refresh_mode => 'IMMEDIATE');
SELECT pgtrickle.create_stream_table('public.too', 'SELECT id, name FROM customers', '1m', 'IMMEDIATE');
SELECT pgt_name, refresh_mode, schedule, effective_refresh_mode, status FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> now | IMMEDIATE | NULL | IMMEDIATE | ACTIVE
--> too | IMMEDIATE | NULL | IMMEDIATE | ACTIVE

-- # IMMEDIATE does not go with a replication slot or append_only
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders', refresh_mode => 'IMMEDIATE', cdc_mode => 'wal');
--> ERROR 22023: invalid argument: refresh_mode = 'IMMEDIATE' is incompatible with cdc_mode = 'wal'. IMM…
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders', refresh_mode => 'IMMEDIATE', append_only => true);
--> ERROR 22023: invalid argument: append_only is not supported with IMMEDIATE refresh mode. Use DIFFERE…
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT id FROM orders', '1m', 'FULL', append_only => true);
--> ERROR 22023: invalid argument: append_only is not supported with FULL refresh mode. Use DIFFERENTIAL…
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0

-- # joins, unions, windows and common table expressions are differential
SELECT pgtrickle.create_stream_table('public.joined', 'SELECT o.id, c.name FROM orders o LEFT JOIN customers c ON c.id = o.customer_id', '1m');
SELECT pgtrickle.create_stream_table('public.both', 'SELECT id FROM orders UNION ALL SELECT id FROM customers', '1m');
SELECT pgtrickle.create_stream_table('public.ranked', 'SELECT id, rank() OVER (ORDER BY amount) AS place FROM orders', '1m');
SELECT pgtrickle.create_stream_table('public.named', 'WITH paid AS (SELECT id, amount FROM orders WHERE status = ''paid'') SELECT id, amount FROM paid', '1m');
SELECT pgtrickle.create_stream_table('public.kinds', 'SELECT DISTINCT status FROM orders', '1m');
SELECT pgt_name, refresh_mode FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> both | DIFFERENTIAL
--> joined | DIFFERENTIAL
--> kinds | DIFFERENTIAL
--> named | DIFFERENTIAL
--> ranked | DIFFERENTIAL
SELECT id, name FROM joined ORDER BY 1;
--> 1 | ann
--> 2 | ann
--> 3 | bob
SELECT id, place FROM ranked ORDER BY 1;
--> 1 | 1
--> 2 | 2
--> 3 | 3
SELECT status FROM kinds ORDER BY 1;
--> new
--> paid

-- # a table over EXCEPT keeps the rows that the query leaves out
-- until 0.83.0: published: EXCEPT is refused, or refreshed in full
-- emulator: the table holds what the query gives
SELECT pgtrickle.create_stream_table('public.rest', 'SELECT id FROM customers EXCEPT SELECT customer_id AS id FROM orders', '1m');
SELECT id FROM rest ORDER BY 1;
--> 1
--> 2
--> 3

-- # no scheduler follows a materialized view, but a refresh by hand does
CREATE MATERIALIZED VIEW copied AS SELECT id FROM orders;
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM copied', '1s', 'FULL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
REFRESH MATERIALIZED VIEW copied;
--@ until
SELECT count(*) > 2 FROM pgtrickle.pgt_refresh_history WHERE action = 'NO_DATA';
--> t
SELECT count(*) FROM ids;
--> 3
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 4

-- docs/pg_trickle.md, "Schedules"

-- # durations are trimmed and otherwise kept
SELECT pgtrickle.create_stream_table('public.a', 'SELECT id FROM orders', ' 90 ', 'FULL');
SELECT pgtrickle.create_stream_table('public.b', 'SELECT id FROM orders', '60s', 'FULL');
SELECT pgtrickle.create_stream_table('public.c', 'SELECT id FROM orders', '1h30m', 'FULL');
SELECT pgtrickle.create_stream_table('public.d', 'SELECT id FROM orders', '1w2d', 'FULL');
SELECT pgt_name, schedule FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> a | 90
--> b | 60s
--> c | 1h30m
--> d | 1w2d

-- # durations in seconds
SELECT text, pgtrickle.parse_duration_seconds(text) FROM unnest('{90,30s,1h30m,2d,1w,@hourly,0 3 * * *,1x,calculated}'::text[]) AS text;
--> 90 | 90
--> 30s | 30
--> 1h30m | 5400
--> 2d | 172800
--> 1w | 604800
--> @hourly | NULL
--> 0 3 * * * | NULL
--> 1x | NULL
--> calculated | NULL

-- # cron expressions are kept
SELECT pgtrickle.create_stream_table('public.a', 'SELECT id FROM orders', '*/5 * * * *', 'FULL');
SELECT pgtrickle.create_stream_table('public.b', 'SELECT id FROM orders', '@hourly', 'FULL');
SELECT pgtrickle.create_stream_table('public.c', 'SELECT id FROM orders', '0 3 * * mon-fri', 'FULL');
SELECT pgtrickle.create_stream_table('public.d', 'SELECT id FROM orders', '30 0 3 * * *', 'FULL');
SELECT pgt_name, schedule FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> a | */5 * * * *
--> b | @hourly
--> c | 0 3 * * mon-fri
--> d | 30 0 3 * * *
SELECT DISTINCT stale FROM pgtrickle.pg_stat_stream_tables;
--> NULL

-- # calculated is stored as NULL
SELECT pgtrickle.create_stream_table('public.a', 'SELECT id FROM orders', 'calculated', 'DIFFERENTIAL');
--> NOTICE: pg_trickle: Stream table "public"."a" uses CALCULATED schedule but has no downstream dependents yet…
SELECT pgtrickle.create_stream_table('public.b', 'SELECT id FROM orders', 'CALCULATED', 'FULL');
SELECT pgtrickle.create_stream_table('public.c', 'SELECT id FROM orders');
SELECT pgt_name, schedule, refresh_mode FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> a | NULL | DIFFERENTIAL
--> b | NULL | FULL
--> c | NULL | DIFFERENTIAL

-- # NULL is refused
SELECT pgtrickle.create_stream_table('public.a', 'SELECT id FROM orders', NULL, 'FULL');
--> ERROR 22023: invalid argument: use 'calculated' instead of NULL to set CALCULATED schedule
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0

-- # what is no schedule is refused
SELECT pgtrickle.create_stream_table('public.a', 'SELECT id FROM orders', '', 'FULL');
--> ERROR 22023: invalid argument: schedule cannot be empty
SELECT pgtrickle.create_stream_table('public.a', 'SELECT id FROM orders', 'banana', 'FULL');
--> ERROR 22023: invalid argument: invalid duration unit 'b' in 'banana'. Use s (seconds), m (minutes), …
SELECT pgtrickle.create_stream_table('public.a', 'SELECT id FROM orders', '5x', 'FULL');
--> ERROR 22023: invalid argument: invalid duration unit 'x' in '5x'. Use s (seconds), m (minutes), h (h…
SELECT pgtrickle.create_stream_table('public.a', 'SELECT id FROM orders', '1h30', 'FULL');
--> ERROR 22023: invalid argument: trailing digits '30' without a unit in duration '1h30'. Append s, m, …
SELECT pgtrickle.create_stream_table('public.a', 'SELECT id FROM orders', '-5s', 'FULL');
--> ERROR 22023: invalid argument: invalid duration unit '-' in '-5s'. Use s (seconds), m (minutes), h (…
SELECT pgtrickle.create_stream_table('public.a', 'SELECT id FROM orders', '0', 'FULL');
--> ERROR 22023: invalid argument: schedule must be at least 1s, got 0s
SELECT pgtrickle.create_stream_table('public.a', 'SELECT id FROM orders', '1 day', 'FULL');
--> ERROR 22023: invalid argument: invalid cron expression '1 day': expected 5 or 6 fields, got 2
SELECT pgtrickle.create_stream_table('public.a', 'SELECT id FROM orders', '* * * *', 'FULL');
--> ERROR 22023: invalid argument: invalid cron expression '* * * *': expected 5 or 6 fields, got 4
SELECT pgtrickle.create_stream_table('public.a', 'SELECT id FROM orders', '99 * * * *', 'FULL');
--> ERROR 22023: invalid argument: invalid cron expression '99 * * * *': Component error: Number out of …
SELECT pgtrickle.create_stream_table('public.a', 'SELECT id FROM orders', '@sometimes', 'FULL');
--> ERROR 22023: invalid argument: invalid cron expression '@sometimes': Invalid pattern: Pattern must h…
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0

-- # a cron table is refreshed at every tick
SELECT pgtrickle.create_stream_table('public.nightly', 'SELECT id FROM orders', '0 3 1 1 *', 'FULL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ until
SELECT EXISTS (SELECT FROM nightly WHERE id = 4);
--> t

-- # a calculated table is refreshed when a source has changed
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', 'calculated', 'DIFFERENTIAL');
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ until
SELECT EXISTS (SELECT FROM ids WHERE id = 4);
--> t
SELECT stale FROM pgtrickle.pg_stat_stream_tables;
--> NULL

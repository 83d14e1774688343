-- docs/pg_trickle.md, "Notifications"

-- # a refresh of the scheduler is notified
-- from 0.55.0: 0.40.0 writes the keys in another order
LISTEN pg_trickle_alert;
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
--@ b
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ a hears
--> pg_trickle_alert {"action":"DIFFERENTIAL","duration_ms":…,"event":"refresh_completed","pgt_name":"ids","pgt_schema":"public","rows_deleted":0,"rows_inserted":1,"st":"public.ids"}

-- # a quiet source is notified
-- from 0.55.0: 0.40.0 writes the keys in another order
LISTEN pg_trickle_alert;
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
--@ a hears
--> pg_trickle_alert {"action":"NO_DATA","duration_ms":…,"event":"refresh_completed","pgt_name":"ids","pgt_schema":"public","rows_deleted":0,"rows_inserted":0,"st":"public.ids"}
--@ a hears
--> pg_trickle_alert {"event":"no_upstream_changes","idle_seconds":…,"pgt_name":"ids","pgt_schema":"public","st":"public.ids"}

-- # a resumed table is notified
-- from 0.55.0: 0.40.0 writes the keys in another order
LISTEN pg_trickle_alert;
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', status => 'SUSPENDED');
--@ b
SELECT pgtrickle.resume_stream_table('public.ids');
--@ a hears
--> pg_trickle_alert {"event":"resumed","pgt_name":"ids","pgt_schema":"public","previous_status":"SUSPENDED","st":"public.ids"}

-- # a blown fuse is notified on another channel
LISTEN pgtrickle_alert;
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1s', 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('public.ids', fuse => 'on', fuse_ceiling => 5);
--@ b
INSERT INTO orders SELECT n, 1, 1, 'new' FROM generate_series(11, 30) n;
--@ a hears
--> pgtrickle_alert {"event":"fuse_blown","stream_table":"public.ids","pending":20,"ceiling":5}

-- # a gate is notified with the number of its source
LISTEN pgtrickle_source_gate;
CREATE TABLE gated (id int PRIMARY KEY);
--@ b
SELECT pgtrickle.gate_source('gated');
--@ a hears
--> pgtrickle_source_gate …
--@ b
SELECT pgtrickle.ungate_source('gated');
--@ a hears
--> pgtrickle_source_gate …

-- # a write to a captured source wakes the scheduler
LISTEN pgtrickle_wake;
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
--@ b
INSERT INTO orders VALUES (4, 1, 40, 'new');
--@ a hears
--> pgtrickle_wake

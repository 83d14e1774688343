-- docs/pg_trickle.md, "Privileges"

-- # PUBLIC may not look
CREATE ROLE $db_guest;
SET ROLE $db_guest;
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> ERROR 42501: permission denied for schema pgtrickle
SELECT pgtrickle.version();
--> ERROR 42501: permission denied for schema pgtrickle

-- # a role that may read sees the catalog and changes nothing
-- until 0.84.0: published: such a role may not execute what changes something
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
CREATE ROLE $db_reader;
GRANT USAGE ON SCHEMA pgtrickle TO $db_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA pgtrickle TO $db_reader;
SET ROLE $db_reader;
SELECT pgt_name, status FROM pgtrickle.pg_stat_stream_tables;
--> ids | ACTIVE
SELECT total_stream_tables FROM pgtrickle.quick_health;
--> 1
SELECT source_table FROM pgtrickle.check_cdc_health();
--> orders
SELECT stream_table FROM pgtrickle.change_buffer_sizes();
--> public.ids
SELECT pgtrickle.alter_stream_table('public.ids', schedule => '2h');
--> ERROR 42501: permission denied: must be owner of stream table public.ids
SELECT pgtrickle.drop_stream_table('public.ids');
--> ERROR 42501: permission denied: must be owner of stream table public.ids
SELECT pgtrickle.create_stream_table('public.mine', 'SELECT 1 AS one FROM orders', '1h', 'DIFFERENTIAL');
--> ERROR 42501: permission denied …
SELECT pgtrickle.refresh_stream_table('public.ids');
--> ERROR 42501: permission denied for table pgt_stream_tables
RESET ROLE;
SELECT pgt_name, schedule FROM pgtrickle.pgt_stream_tables;
--> ids | 1h

-- # a writer of a source needs no rights on stream tables
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.now', 'SELECT id FROM orders', refresh_mode => 'IMMEDIATE');
CREATE ROLE $db_writer;
GRANT INSERT ON orders TO $db_writer;
SET ROLE $db_writer;
INSERT INTO orders VALUES (4, 1, 40, 'new');
RESET ROLE;
SELECT count(*) FROM now;
--> 4
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT count(*) FROM ids;
--> 4

-- # an IMMEDIATE table takes CREATE on the schema pgtrickle, and to drop it the owner of the source
-- until 0.81.1: published: the functions run as their owner
CREATE ROLE $db_deployer;
GRANT USAGE ON SCHEMA pgtrickle TO $db_deployer;
GRANT ALL ON ALL TABLES IN SCHEMA pgtrickle TO $db_deployer;
GRANT ALL ON ALL SEQUENCES IN SCHEMA pgtrickle TO $db_deployer;
GRANT ALL ON SCHEMA pgtrickle_changes, public TO $db_deployer;
GRANT SELECT, TRIGGER ON orders TO $db_deployer;
SET ROLE $db_deployer;
SELECT pgtrickle.create_stream_table('public.now', 'SELECT id FROM orders', refresh_mode => 'IMMEDIATE');
--> ERROR 42501: permission denied for schema pgtrickle
RESET ROLE;
GRANT CREATE ON SCHEMA pgtrickle TO $db_deployer;
SET ROLE $db_deployer;
SELECT pgtrickle.create_stream_table('public.now', 'SELECT id FROM orders', refresh_mode => 'IMMEDIATE');
SELECT count(*) FROM now;
--> 3
SELECT pgtrickle.drop_stream_table('public.now');
--> ERROR 42501: must be owner of relation orders

-- # policies hide rows from the role that creates a table, unless row_security is off
-- until 0.81.1: published: the functions run as their owner
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY paid ON orders USING (status = 'paid');
CREATE ROLE $db_deployer;
GRANT USAGE ON SCHEMA pgtrickle TO $db_deployer;
GRANT ALL ON ALL TABLES IN SCHEMA pgtrickle TO $db_deployer;
GRANT ALL ON ALL SEQUENCES IN SCHEMA pgtrickle TO $db_deployer;
GRANT ALL ON SCHEMA pgtrickle_changes, public TO $db_deployer;
GRANT SELECT, TRIGGER ON orders TO $db_deployer;
SET ROLE $db_deployer;
-- Later versions than 0.40.0 warn.
SET client_min_messages = error;
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT count(*) FROM ids;
--> 2
SET row_security = off;
SELECT pgtrickle.create_stream_table('public.all_ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
--> ERROR 42501: query would be affected by row-level security policy for table "orders"

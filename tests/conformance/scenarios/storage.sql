-- docs/pg_trickle.md, "Storage table"

-- # the columns of a projection
CREATE TABLE typed (id int PRIMARY KEY, code varchar(10), price numeric(10,2), at timestamp(0), flags bit(3), tags text[]);
SELECT pgtrickle.create_stream_table('public.copied', 'SELECT id, code, price, at, flags, tags FROM typed', '1h', 'DIFFERENTIAL');
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'copied'::regclass AND attnum > 0 ORDER BY attnum;
--> __pgt_row_id | bigint
--> id | integer
--> code | character varying
--> price | numeric
--> at | timestamp without time zone
--> flags | bit(1)
--> tags | text[]

-- # an aggregate has a counter behind its columns
SELECT pgtrickle.create_stream_table('public.counts', 'SELECT status, count(*) AS n FROM orders GROUP BY status', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.kinds', 'SELECT DISTINCT status FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.full_counts', 'SELECT status, count(*) AS n FROM orders GROUP BY status', '1h', 'FULL');
SELECT attrelid::regclass::text, string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid IN (SELECT pgt_relid FROM pgtrickle.pgt_stream_tables) AND attnum > 0 GROUP BY 1 ORDER BY 1;
--> counts | __pgt_row_id status n __pgt_count
--> full_counts | __pgt_row_id status n
--> kinds | __pgt_row_id status __pgt_count

-- # writes to it are refused
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
INSERT INTO ids VALUES (1, 1);
--> ERROR P0001: Direct DML on stream table ids is not allowed. Stream tables are maintained automatical…
UPDATE ids SET id = 7;
--> ERROR P0001: Direct DML on stream table ids is not allowed. Stream tables are maintained automatical…
DELETE FROM ids;
--> ERROR P0001: Direct DML on stream table ids is not allowed. Stream tables are maintained automatical…
TRUNCATE ids;
--> ERROR P0001: Direct DML on stream table ids is not allowed. Stream tables are maintained automatical…
SELECT count(*) FROM ids;
--> 3

-- # a unique index on the row id
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, status FROM orders', '1h', 'DIFFERENTIAL');
SELECT count(*), count(*) FILTER (WHERE indisunique) FROM pg_index WHERE indrelid = 'ids'::regclass;
--> 1 | 1
SELECT count(DISTINCT __pgt_row_id) FROM ids;
--> 3

-- # a primary key that does not come first is refused once the first column has duplicates
SELECT pgtrickle.create_stream_table('public.bad', 'SELECT status, id FROM orders', '1h', 'DIFFERENTIAL');
--> ERROR 23505: duplicate key value violates unique constraint "bad___pgt_row_id_status_id_idx"
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0
SELECT to_regclass('public.bad');
--> NULL
SELECT pgtrickle.create_stream_table('public.good', 'SELECT status, id FROM orders', '1h', 'FULL');
--> ERROR 23505: duplicate key value violates unique constraint "good___pgt_row_id_status_id_idx"
SELECT pgtrickle.create_stream_table('public.too', 'SELECT amount, status FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.parted', 'SELECT status, id FROM orders', '1h', 'DIFFERENTIAL', partition_by => 'LIST:status');
SELECT pgt_name FROM pgtrickle.pgt_stream_tables ORDER BY 1;
--> parted
--> too

-- # indexes, grants and views on it survive refreshes
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id, status FROM orders', '1h', 'FULL');
CREATE INDEX by_status ON ids (status);
CREATE VIEW on_it AS SELECT id FROM ids;
GRANT SELECT ON ids TO PUBLIC;
INSERT INTO orders VALUES (4, 1, 40, 'new');
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT to_regclass('by_status'), (SELECT count(*) FROM on_it), has_table_privilege('pg_monitor', 'ids', 'SELECT');
--> by_status | 4 | t

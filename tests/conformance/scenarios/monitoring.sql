-- docs/pg_trickle.md, "Health views"

-- # the statistics of a stream table
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgt_schema, pgt_name, status, refresh_mode, is_populated, schedule, stale, consecutive_errors, needs_reinit, refresh_tier FROM pgtrickle.pg_stat_stream_tables;
--> public | ids | ACTIVE | DIFFERENTIAL | t | 1h | f | 0 | f | hot
SELECT total_refreshes, successful_refreshes, failed_refreshes, last_action, last_status, cdc_modes FROM pgtrickle.pg_stat_stream_tables;
--> 1 | 1 | 0 | FULL | COMPLETED | {TRIGGER}
SELECT staleness < interval '1 minute' FROM pgtrickle.pg_stat_stream_tables;
--> t

-- # staleness goes by the last refresh and the plain schedule
SELECT pgtrickle.create_stream_table('public.hot', 'SELECT id FROM orders', '1h', 'FULL');
SELECT pgtrickle.create_stream_table('public.frozen', 'SELECT id FROM orders', '1s', 'FULL');
SELECT pgtrickle.create_stream_table('public.cron', 'SELECT id FROM orders', '@hourly', 'FULL');
SELECT pgtrickle.alter_stream_table('public.frozen', tier => 'frozen');
--@ until
SELECT stale FROM pgtrickle.pg_stat_stream_tables WHERE pgt_name = 'frozen';
--> t
SELECT pgt_name, stale FROM pgtrickle.stream_tables_info ORDER BY 1;
--> cron | NULL
--> frozen | t
--> hot | f
SELECT stale_tables, status FROM pgtrickle.quick_health;
--> 1 | WARNING

-- # get_staleness goes by the data
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'FULL');
SELECT pgtrickle.get_staleness('public.ids') BETWEEN 0 AND 60, pg_typeof(pgtrickle.get_staleness('public.ids'));
--> t | double precision
SELECT pgtrickle.get_staleness('public.nope');
--> NULL

-- # quick_health of nothing is EMPTY
SELECT total_stream_tables, error_tables, stale_tables, status FROM pgtrickle.quick_health;
--> 0 | 0 | 0 | EMPTY
--@ until
SELECT scheduler_running FROM pgtrickle.quick_health;
--> t

-- # quick_health is OK, WARNING or CRITICAL
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'FULL');
SELECT total_stream_tables, error_tables, stale_tables, status FROM pgtrickle.quick_health;
--> 1 | 0 | 0 | OK
SELECT pgtrickle.alter_stream_table('public.ids', status => 'ERROR');
SELECT total_stream_tables, error_tables, stale_tables, status FROM pgtrickle.quick_health;
--> 1 | 1 | 0 | WARNING
SELECT pgtrickle.resume_stream_table('public.ids');
SELECT pgtrickle.alter_stream_table('public.ids', status => 'SUSPENDED');
SELECT total_stream_tables, error_tables, stale_tables, status FROM pgtrickle.quick_health;
--> 1 | 0 | 0 | CRITICAL

-- # health_check has ten rows, and its scheduler is up
-- from 0.61.0: earlier versions lack the last row
-- until 0.80.0: published: there are more rows
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'FULL');
--@ until
SELECT severity FROM pgtrickle.health_check() WHERE check_name = 'scheduler_running';
--> OK
SELECT check_name, severity FROM pgtrickle.health_check();
--> scheduler_running | OK
--> error_tables | OK
--> stale_tables | OK
--> needs_reinit | OK
--> consecutive_errors | OK
--> buffer_growth | OK
--> slot_lag | OK
--> worker_pool | OK
--> job_queue | OK
--> attachment_owner_check | OK

-- # health_check tells tables in ERROR and tables that are owed a refresh
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'FULL');
SELECT pgtrickle.alter_stream_table('public.ids', status => 'SUSPENDED');
SELECT severity, detail FROM pgtrickle.health_check() WHERE check_name = 'error_tables';
--> ERROR | 1 stream table(s) in ERROR/SUSPENDED: public.ids
UPDATE pgtrickle.pgt_stream_tables SET needs_reinit = true;
SELECT check_name, severity, detail FROM pgtrickle.health_check() WHERE check_name = 'needs_reinit';
--> needs_reinit | WARN | 1 stream table(s) need reinitialization (DDL change detected): public.ids

-- # check_cdc_health has a row for each source
SELECT pgtrickle.create_stream_table('public.named', 'SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id', '1h', 'DIFFERENTIAL');
SELECT source_table, cdc_mode, slot_name, lag_bytes, confirmed_lsn, alert FROM pgtrickle.check_cdc_health() ORDER BY 1;
--> customers | TRIGGER | NULL | NULL | NULL | NULL
--> orders | TRIGGER | NULL | NULL | NULL | NULL

-- # check_cdc_health sees neither a disabled nor a dropped trigger
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
ALTER TABLE orders DISABLE TRIGGER USER;
SELECT source_table, alert FROM pgtrickle.check_cdc_health();
--> orders | NULL
SELECT status FROM pgtrickle.pgt_stream_tables;
--> ACTIVE

-- # check_cdc_health of a dropped source shows its number
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
DROP TABLE orders;
SELECT source_table = source_relid::text, alert FROM pgtrickle.check_cdc_health();
--> t | NULL

-- # change_buffer_sizes has a row for each reader and source
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.reader', 'SELECT id FROM ids', '1h', 'DIFFERENTIAL');
SELECT stream_table, source_table, cdc_mode, pending_rows FROM pgtrickle.change_buffer_sizes() ORDER BY 1, 2;
--> public.ids | public.orders | TRIGGER | 0
--> public.reader | public.ids | TRIGGER | 0

-- # the tree of dependencies
SELECT pgtrickle.create_stream_table('public.paid', 'SELECT id, customer_id FROM orders WHERE status = ''paid''', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.counts', 'SELECT customer_id, count(*) AS n FROM paid GROUP BY customer_id', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.regions', 'SELECT region, count(*) AS n FROM customers GROUP BY region', '1h', 'FULL');
SELECT tree_line, node, node_type, depth, status, refresh_mode FROM pgtrickle.dependency_tree();
--> ├── public.paid | public.paid | stream_table | 0 | ACTIVE | DIFFERENTIAL
--> │   ├── public.counts | public.counts | stream_table | 1 | ACTIVE | DIFFERENTIAL
--> │   └── public.orders [src] | public.orders | source_table | 1 | NULL | NULL
--> └── public.regions | public.regions | stream_table | 0 | ACTIVE | FULL
-->     └── public.customers [src] | public.customers | source_table | 1 | NULL | NULL

-- # what a table depends on
CREATE VIEW paid AS SELECT id, amount FROM orders WHERE status = 'paid';
SELECT pgtrickle.create_stream_table('public.over_view', 'SELECT id FROM paid', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.f', 'SELECT id, status FROM orders', '1h', 'FULL');
SELECT pgtrickle.create_stream_table('public.d', 'SELECT name FROM customers', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('public.reader', 'SELECT name FROM d', '1h', 'DIFFERENTIAL');
SELECT s.pgt_name, d.source_relid::regclass::text, d.source_type, d.cdc_mode FROM pgtrickle.pgt_dependencies d JOIN pgtrickle.pgt_stream_tables s USING (pgt_id) ORDER BY 1, 2;
--> d | customers | TABLE | TRIGGER
--> f | orders | TABLE | TRIGGER
--> over_view | orders | TABLE | TRIGGER
--> over_view | paid | VIEW | TRIGGER
--> reader | d | STREAM_TABLE | TRIGGER
SELECT s.pgt_name, d.columns_used FROM pgtrickle.pgt_dependencies d JOIN pgtrickle.pgt_stream_tables s USING (pgt_id) WHERE s.pgt_name IN ('d', 'f') ORDER BY 1;
--> d | {id,name}
--> f | NULL
SELECT source_table, source_type, cdc_mode FROM pgtrickle.list_sources('public.over_view') ORDER BY 1;
--> public.orders | TABLE | TRIGGER
--> public.paid | VIEW | TRIGGER
SELECT source_table, source_type, cdc_mode FROM pgtrickle.list_sources('public.reader') ORDER BY 1;
--> public.d | STREAM_TABLE | TRIGGER
SELECT count(*) FROM pgtrickle.list_sources('public.nope');
--> 0

-- # the history of a table, newest first
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.refresh_stream_table('public.ids');
SELECT action, status, rows_inserted, rows_deleted, error_message, start_time = end_time FROM pgtrickle.get_refresh_history('public.ids');
--> DIFFERENTIAL | COMPLETED | 0 | 0 | NULL | t
--> FULL | COMPLETED | 0 | 0 | NULL | t
SELECT action FROM pgtrickle.get_refresh_history('public.ids', 1);
--> DIFFERENTIAL
SELECT count(*) FROM pgtrickle.get_refresh_history('public.nope');
--> 0
SELECT stream_table, action FROM pgtrickle.refresh_timeline(1);
--> public.ids | DIFFERENTIAL

-- # explain_st
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT property, value FROM pgtrickle.explain_st('public.ids') WHERE property IN ('pgt_name', 'defining_query', 'refresh_mode', 'status', 'is_populated', 'output_columns') ORDER BY 1;
--> defining_query | SELECT id FROM orders
--> is_populated | true
--> output_columns | id
--> pgt_name | public.ids
--> refresh_mode | DIFFERENTIAL
--> status | ACTIVE
SELECT property, value FROM pgtrickle.explain_st('public.nope');
--> error | stream table not found: public.nope

-- # explain_refresh_mode
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'AUTO');
SELECT configured_mode, effective_mode, downgrade_reason FROM pgtrickle.explain_refresh_mode('public.ids');
--> DIFFERENTIAL | DIFFERENTIAL | NULL
SELECT * FROM pgtrickle.explain_refresh_mode('public.nope');
--> ERROR XX000: diagnostic error: stream table 'public.nope' not found

-- # validate_query
SELECT check_name, result, severity FROM pgtrickle.validate_query('SELECT id FROM orders');
--> resolved_refresh_mode | DIFFERENTIAL | INFO
--> volatility | immutable | INFO
SELECT check_name, result FROM pgtrickle.validate_query('SELECT id, now() AS t FROM orders') WHERE check_name = 'volatility';
--> volatility | stable
SELECT check_name, result FROM pgtrickle.validate_query('SELECT id, random() AS r FROM orders') WHERE check_name = 'volatility';
--> volatility | volatile
SELECT bool_or(check_name IN ('unsupported_construct', 'matview_or_foreign_table', 'ivm_support_check', 'dvm_parse_error')) FROM pgtrickle.validate_query('SELECT id FROM orders ORDER BY id LIMIT 5');
--> f
SELECT bool_or(check_name IN ('unsupported_construct', 'ivm_support_check', 'dvm_parse_error')) FROM pgtrickle.validate_query('SELECT id FROM orders LIMIT 5');
--> t
SELECT bool_or(check_name IN ('unsupported_construct', 'ivm_support_check', 'dvm_parse_error')) FROM pgtrickle.validate_query('SELECT id FROM (SELECT id FROM orders ORDER BY id LIMIT 5) AS first');
--> t
SELECT bool_or(check_name IN ('unsupported_construct', 'ivm_support_check', 'dvm_parse_error')) FROM pgtrickle.validate_query('SELECT id FROM orders TABLESAMPLE SYSTEM (10)');
--> t
SELECT bool_or(check_name IN ('unsupported_construct', 'ivm_support_check', 'dvm_parse_error')) FROM pgtrickle.validate_query('SELECT id FROM orders FOR UPDATE');
--> t
SELECT bool_or(check_name IN ('unsupported_construct', 'ivm_support_check', 'dvm_parse_error')) FROM pgtrickle.validate_query('SELECT 1 AS one');
--> t
CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM orders;
SELECT bool_or(check_name = 'matview_or_foreign_table') FROM pgtrickle.validate_query('SELECT n FROM totals');
--> t
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
--> 0

-- # pgt_status
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT name, status, refresh_mode, is_populated, consecutive_errors, schedule FROM pgtrickle.pgt_status();
--> public.ids | ACTIVE | DIFFERENTIAL | t | 0 | 1h
SELECT pgt_name, status, total_refreshes, last_refresh_action, stale, consecutive_errors FROM pgtrickle.st_refresh_stats();
--> ids | ACTIVE | 1 | FULL | f | 0

-- # a definition can be exported
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgtrickle.export_definition('public.ids');
--> DROP STREAM TABLE IF EXISTS public.ids;\nSELECT pgtrickle.create_stream_table(\n  'public.ids'::text,\n  $pgt$SELECT id FROM orders$pgt$::text,\n  schedule => '1h',\n  refresh_mode => 'DIFFERENTIAL',\n  diamond_consistency => 'atomic'\n);\n
SELECT pgtrickle.export_definition('public.nope');
--> ERROR 22000: stream table not found: public.nope

-- # versions
SELECT extversion = pgtrickle.version(), pgtrickle.version_check()::json ->> 'version_match' FROM pg_extension WHERE extname = 'pg_trickle';
--> t | true
SELECT version FROM pgtrickle.pgt_schema_version;
--> 0.19.0

-- # the state of capture and gates
SELECT pgtrickle.create_stream_table('public.ids', 'SELECT id FROM orders', '1h', 'DIFFERENTIAL');
SELECT pgt_name, source_name, source_schema, cdc_mode, slot_name FROM pgtrickle.pgt_cdc_status;
--> ids | orders | public | TRIGGER | NULL
SELECT pgtrickle.gate_source('orders');
SELECT source_table, schema_name, gated, affected_stream_tables FROM pgtrickle.bootstrap_gate_status();
--> orders | public | t | public.ids

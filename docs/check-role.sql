-- A role for `pgtrickle-ci check` at night: it may look, and nothing else. Run it as the owner of the extension in the
-- database to check, then give the role a way to log in: ALTER ROLE pgtrickle_check PASSWORD '…'.
CREATE ROLE pgtrickle_check LOGIN CONNECTION LIMIT 4;
ALTER ROLE pgtrickle_check SET default_transaction_read_only = on;
GRANT USAGE ON SCHEMA pgtrickle TO pgtrickle_check;
GRANT SELECT ON ALL TABLES IN SCHEMA pgtrickle TO pgtrickle_check;
-- Whether changes wait that the refreshes pass by. The buffers hold rows of the sources, and each new source brings a new
-- one: say the last line also for each role that makes stream tables, with FOR ROLE. Their schema is a setting.
DO $$
DECLARE
  buffers text := quote_ident(coalesce(nullif(current_setting('pg_trickle.change_buffer_schema', true), ''), 'pgtrickle_changes'));
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA %s TO pgtrickle_check', buffers);
  EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %s TO pgtrickle_check', buffers);
  EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %s GRANT SELECT ON TABLES TO pgtrickle_check', buffers);
END $$;
-- Whether the scheduler runs, and whose snapshot holds it back.
GRANT pg_monitor TO pgtrickle_check;

-- A role for `pgtrickle-ci check` at night: it may look, and nothing else. Run it as the owner of the extension in the
-- database to check, then give the role a way to log in: ALTER ROLE pgtrickle_check PASSWORD '…'.
CREATE ROLE pgtrickle_check LOGIN CONNECTION LIMIT 4;
ALTER ROLE pgtrickle_check SET default_transaction_read_only = on;
GRANT USAGE ON SCHEMA pgtrickle, pgtrickle_changes TO pgtrickle_check;
GRANT SELECT ON ALL TABLES IN SCHEMA pgtrickle TO pgtrickle_check;
-- Whether changes wait that the refreshes pass by. The buffers hold rows of the sources, and each new source brings a new
-- one: say the second line for each role that makes stream tables, with FOR ROLE. Where pg_trickle.change_buffer_schema is
-- set, that is their schema.
GRANT SELECT ON ALL TABLES IN SCHEMA pgtrickle_changes TO pgtrickle_check;
ALTER DEFAULT PRIVILEGES IN SCHEMA pgtrickle_changes GRANT SELECT ON TABLES TO pgtrickle_check;
-- Whether the scheduler runs, and whose snapshot holds it back.
GRANT pg_monitor TO pgtrickle_check;

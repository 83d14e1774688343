-- A role for `pgtrickle-ci check` at night: it may look, and nothing else. Run it as the owner of the extension in the
-- database to check, then give the role a way to log in: ALTER ROLE pgtrickle_check PASSWORD '…'.
CREATE ROLE pgtrickle_check LOGIN CONNECTION LIMIT 4;
ALTER ROLE pgtrickle_check SET default_transaction_read_only = on;
GRANT USAGE ON SCHEMA pgtrickle, pgtrickle_changes TO pgtrickle_check;
GRANT SELECT ON ALL TABLES IN SCHEMA pgtrickle TO pgtrickle_check;
-- Whether the scheduler runs, and whose snapshot holds it back.
GRANT pg_monitor TO pgtrickle_check;

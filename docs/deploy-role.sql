-- A role that deploys stream tables: for `dbt build`, `pgtrickle-ci run`, `apply`, `check` and `verify --static`. Run it as the
-- owner of the extension in the database to deploy to, then give the role a way to log in: ALTER ROLE pgtrickle_deploy PASSWORD '…'.
CREATE ROLE pgtrickle_deploy LOGIN;
-- In one transaction: on 0.67.0 a role that has the first grant without the second crashes the server.
BEGIN;
GRANT USAGE ON SCHEMA pgtrickle TO pgtrickle_deploy;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgtrickle TO pgtrickle_deploy;
GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA pgtrickle TO pgtrickle_deploy;
-- The schema of the change buffers is a setting.
DO $$
DECLARE
  buffers text := quote_ident(coalesce(nullif(current_setting('pg_trickle.change_buffer_schema', true), ''), 'pgtrickle_changes'));
BEGIN
  EXECUTE format('GRANT ALL ON SCHEMA %s TO pgtrickle_deploy', buffers);
  EXECUTE format('GRANT ALL ON ALL TABLES IN SCHEMA %s TO pgtrickle_deploy', buffers);
END $$;
-- From 0.84 on PUBLIC may not execute what changes something. Earlier versions allow it anyway, and lack some of these.
DO $$
DECLARE
  called regprocedure;
BEGIN
  FOR called IN
    SELECT oid FROM pg_proc
    WHERE pronamespace = 'pgtrickle'::regnamespace AND proname IN (
      'create_stream_table', 'alter_stream_table', 'drop_stream_table', 'refresh_stream_table', -- to deploy and to refresh
      'create_or_replace_stream_table', 'drain', -- the macros of these names
      'resume_after_drain', -- from 0.85 on: ends a drain
      'set_orchestration_mode' -- from 0.93 on: a changed `orchestration_mode`
    )
  LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO pgtrickle_deploy', called);
  END LOOP;
  -- Before 0.81.1 an IMMEDIATE table takes functions in this schema, which the role creates.
  IF EXISTS (
    SELECT FROM pg_proc
    WHERE pronamespace = 'pgtrickle'::regnamespace AND proname = 'create_stream_table' AND NOT prosecdef
  ) THEN
    GRANT CREATE ON SCHEMA pgtrickle TO pgtrickle_deploy;
  END IF;
END $$;
-- Whether the scheduler runs.
GRANT pg_monitor TO pgtrickle_deploy;
COMMIT;
-- What depends on the project: where it creates, and what it reads.
--   GRANT CREATE ON DATABASE … TO pgtrickle_deploy, or GRANT USAGE, CREATE ON SCHEMA (of the target) TO pgtrickle_deploy
--   GRANT USAGE ON SCHEMA (of the sources) TO pgtrickle_deploy
--   GRANT SELECT, TRIGGER ON (the sources) TO pgtrickle_deploy

-- marts.parted: its refresh fails: there is no unique or exclusion constraint matching the ON CONFLICT specification
--   SQLSTATE: 42P10
-- the pg_trickle emulator 0.67.0-emulator on PostgreSQL 18.4; seed 1, round 6
-- Reduced, and reproduced in an empty database. Run it with: psql -X -f THIS_FILE

create extension if not exists pg_trickle;
create schema if not exists "marts";
create table "marts"."orders" (
  "id" integer,
  "customer" integer
);
select pgtrickle.create_stream_table('marts.parted', $$select id, customer from "marts"."orders"$$, '1h', 'DIFFERENTIAL', partition_by => 'LIST:customer');

-- round 1
insert into "marts"."orders" ("id", "customer") values (1, 25);
select pgtrickle.refresh_stream_table('marts.parted');

-- The rows that differ; none if the table is right.
select 'too many' as problem, * from (select "id", "customer" from "marts"."parted" except all select "id", "customer" from (
select id, customer from "marts"."orders"
) as query) as surplus
union all
select 'missing' as problem, * from (select "id", "customer" from (
select id, customer from "marts"."orders"
) as query except all select "id", "customer" from "marts"."parted") as lacking;

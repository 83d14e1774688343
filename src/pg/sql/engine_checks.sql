-- What the engine says of itself, with the server's clock.
select jsonb_build_object(
  'now', extract(epoch from pg_catalog.clock_timestamp()),
  'checks', (select coalesce(jsonb_agg(to_jsonb(h)), '[]') from pgtrickle.health_check() as h)
)::text

-- How many refreshes of a stream table this transaction has made.
select count(*) from pgtrickle.pgt_refresh_history as h join pgtrickle.pgt_stream_tables as s using (pgt_id)
where (s.pgt_schema, s.pgt_name) = ($table) and h.start_time = pg_catalog.now()

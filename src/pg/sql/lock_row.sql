-- Locks the catalog's row of a stream table.
select from pgtrickle.pgt_stream_tables where (pgt_schema, pgt_name) = ($table) for update

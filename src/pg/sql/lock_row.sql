-- Locks the catalog's row of a stream table.
select from pgtrickle.pgt_stream_tables where pgt_schema = $schema and pgt_name = $name for update

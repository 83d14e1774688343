-- Up to where the last refresh of a stream table has read the changes of each source.
select frontier -> 'sources' from pgtrickle.pgt_stream_tables where (pgt_schema, pgt_name) = ($table)

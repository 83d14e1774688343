-- Alters the query of a stream table to itself, which refills it.
select pgtrickle.alter_stream_table(pgt_schema || '.' || pgt_name, query => coalesce(original_query, defining_query))
from pgtrickle.pgt_stream_tables where (pgt_schema, pgt_name) = ($table)

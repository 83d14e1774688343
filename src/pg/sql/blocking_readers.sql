-- The processes that let nobody read a stream table, or what its query reads.
select l.pid from pg_catalog.pg_locks as l
where l.granted and l.mode = 'AccessExclusiveLock' and l.pid <> pg_catalog.pg_backend_pid()
  and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
  and l.relation in (
    select pgt_relid from pgtrickle.pgt_stream_tables where (pgt_schema, pgt_name) = ($table)
    union
    select d.source_relid from pgtrickle.pgt_dependencies as d
    join pgtrickle.pgt_stream_tables as s on s.pgt_id = d.pgt_id where (s.pgt_schema, s.pgt_name) = ($table)
  )

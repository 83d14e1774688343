{#
  A query for whether another session refreshes a stream table of this database. Only a refresh writes to the storage of one;
  that of an IMMEDIATE table is written to by every writer of its sources.
#}
{% macro _pgtrickle_refreshing_sql() %}
  select exists (
    select from pg_catalog.pg_locks as l
    join pg_catalog.pg_database as d on d.oid = l.database and d.datname = pg_catalog.current_database()
    join pgtrickle.pgt_stream_tables as st on st.pgt_relid = l.relation and st.refresh_mode <> 'IMMEDIATE'
    where l.granted and l.pid <> pg_catalog.pg_backend_pid()
      and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  )
{% endmacro %}

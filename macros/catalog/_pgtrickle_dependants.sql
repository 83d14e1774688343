{#
  `schema.name` of everything that reads from a stream table and would go with it or fail without it, directly or through
  others: stream tables, views and materialized views.
#}
{% macro _pgtrickle_dependants(relation) %}
  {%- set sql %}
    with recursive reads (reader, source) as (
      select st.pgt_relid::oid, d.source_relid::oid
      from pgtrickle.pgt_dependencies as d
      join pgtrickle.pgt_stream_tables as st on st.pgt_id = d.pgt_id
      union
      select r.ev_class, d.refobjid
      from pg_catalog.pg_depend as d
      join pg_catalog.pg_rewrite as r on r.oid = d.objid
      where d.classid = 'pg_catalog.pg_rewrite'::regclass
        and d.refclassid = 'pg_catalog.pg_class'::regclass
        and r.ev_class <> d.refobjid
    ),

    dependant (relid) as (
      select reads.reader
      from pgtrickle.pgt_stream_tables as st
      join reads on reads.source = st.pgt_relid
      where st.pgt_schema = {{ dbt_pgtrickle._pgtrickle_literal(relation.schema) }}
        and st.pgt_name = {{ dbt_pgtrickle._pgtrickle_literal(relation.identifier) }}
      union
      select reads.reader from dependant join reads on reads.source = dependant.relid
    )
    select n.nspname || '.' || c.relname
    from dependant
    join pg_catalog.pg_class as c on c.oid = dependant.relid
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    order by 1
  {%- endset -%}
  {{- return(dbt_pgtrickle._pgtrickle_first_column(sql) | list) -}}
{% endmacro %}

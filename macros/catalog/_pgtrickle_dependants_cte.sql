{# The CTE `dependant` of _pgtrickle_dependants: the relations that read from a stream table, by their OID. #}
{% macro _pgtrickle_dependants_cte(relation) -%}
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
{%- endmacro %}

{# `schema.name` of every stream table that reads from this one, directly or through others. #}
{% macro pgtrickle_dependants(relation) %}
  {%- set sql %}
    with recursive reader as (
      select pgt_id, pgt_relid, pgt_schema, pgt_name, true as itself
      from pgtrickle.pgt_stream_tables
      where pgt_schema = {{ dbt_pgtrickle.pgtrickle_literal(relation.schema) }}
        and pgt_name = {{ dbt_pgtrickle.pgtrickle_literal(relation.identifier) }}
      union
      select st.pgt_id, st.pgt_relid, st.pgt_schema, st.pgt_name, false
      from reader
      join pgtrickle.pgt_dependencies as d on d.source_relid = reader.pgt_relid
      join pgtrickle.pgt_stream_tables as st on st.pgt_id = d.pgt_id
    )
    select pgt_schema || '.' || pgt_name from reader where not itself order by 1
  {%- endset -%}
  {{- return(dbt_pgtrickle.pgtrickle_first_column(sql)) -}}
{% endmacro %}

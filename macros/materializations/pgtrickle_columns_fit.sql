{#
  Whether the storage of a stream table has its columns where the query gives them. The engine fills it by position; an
  altered query that adds columns in the middle, gives them in another order, or adds them behind hidden ones leaves
  values in the wrong columns (docs/pg_trickle.md, Changing the query).
#}
{% macro pgtrickle_columns_fit(target, query) %}
  {%- set given = get_columns_in_query(query) | list -%}
  {%- set sql %}
    select a.attname::text
    from pgtrickle.pgt_stream_tables as st
    join pg_catalog.pg_attribute as a on a.attrelid = st.pgt_relid
    where st.pgt_schema = {{ dbt_pgtrickle.pgtrickle_literal(target.schema) }}
      and st.pgt_name = {{ dbt_pgtrickle.pgtrickle_literal(target.identifier) }}
      and a.attnum > 0 and not a.attisdropped and a.attname <> '__pgt_row_id'
    order by a.attnum
  {%- endset -%}
  {%- set stored = dbt_pgtrickle.pgtrickle_first_column(sql) | list -%}
  {{- return(stored[:given | length] == given) -}}
{% endmacro %}

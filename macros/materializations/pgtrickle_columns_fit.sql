{#
  Whether the storage of a stream table has its columns where the query gives them, and of the same types. The engine
  fills it by position; an altered query that adds columns in the middle, gives them in another order, or adds them behind
  hidden ones leaves values in the wrong columns, and a column keeps a type that its values may outgrow
  (docs/pg_trickle.md, Changing the query).
#}
{% macro pgtrickle_columns_fit(target, query) %}
  {%- set names = get_columns_in_query(query) | list -%}
  {%- set types = [] -%}
  {%- for name in names -%}
    {%- do types.append('pg_typeof(query.' ~ adapter.quote(name) ~ ')::text') -%}
  {%- endfor -%}
  {#- The join finds nothing, so the query is not run; its types are known all the same. -#}
  {%- set sql %}
    select unnest(array[{{ types | join(', ') }}])
    from (select 1) as nothing
    left join (
{{ query }}
    ) as query on false
  {%- endset -%}
  {%- set types = dbt_pgtrickle.pgtrickle_first_column(sql) | list -%}
  {%- set given = [] -%}
  {%- for name in names -%}
    {%- do given.append(name ~ ' ' ~ types[loop.index0] | replace('character varying', 'text')) -%}
  {%- endfor -%}
  {%- set sql %}
    select a.attname || ' ' || replace(pg_catalog.format_type(a.atttypid, null), 'character varying', 'text')
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

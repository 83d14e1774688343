{#
  `schema.name` of the server's stream tables, each after those that it reads from: of one schema or all, made by one
  dbt project or by anybody.
#}
{% macro pgtrickle_list_stream_tables(schema=none, dbt_project=none) %}
  {%- set sql %}
    with recursive level as (
      select pgt_id, pgt_relid, 0 as depth from pgtrickle.pgt_stream_tables
      union
      select st.pgt_id, st.pgt_relid, level.depth + 1
      from level
      join pgtrickle.pgt_dependencies as d on d.source_relid = level.pgt_relid
      join pgtrickle.pgt_stream_tables as st on st.pgt_id = d.pgt_id
      where level.depth < 100 -- the engine can be told to allow circles
    )
    select st.pgt_schema || '.' || st.pgt_name
    from pgtrickle.pgt_stream_tables as st
    where true
    {%- if schema is not none %}
      and st.pgt_schema = {{ dbt_pgtrickle.pgtrickle_literal(schema) }}
    {%- endif %}
    {%- if dbt_project is not none %}
      and starts_with({{ dbt_pgtrickle.pgtrickle_mark_sql('st') }}, {{ dbt_pgtrickle.pgtrickle_literal('{"dbt_project": "' ~ dbt_project ~ '",') }})
    {%- endif %}
    order by (select max(level.depth) from level where level.pgt_id = st.pgt_id), 1
  {%- endset -%}
  {{- return(dbt_pgtrickle.pgtrickle_first_column(sql)) -}}
{% endmacro %}

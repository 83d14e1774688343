{#
  The server's stream tables, of one schema or all, each after those that it reads from, as {name, status, is_external, owner, maker}.
  `is_external` says whether an external orchestrator refreshes it.
  `owner` says whose the table is, by its mark, as `pgtrickle-ci` judges it (docs/dbt.md, Whose a table is):

    ours             this project made it, for this target
    another target   this project made it, for another target; `maker` is that target
    another project  `maker` is that dbt project
    no mark          this package did not make it
    the engine       by which pg_trickle watches itself
#}
{% macro _pgtrickle_list_stream_tables(schema=none) %}
  {%- set schemas = [] -%}
  {%- for name in dbt_pgtrickle._pgtrickle_target_schemas() -%}
    {%- do schemas.append(dbt_pgtrickle._pgtrickle_literal(name)) -%}
  {%- endfor -%}
  {%- set sql %}
    with recursive level as (
      select pgt_id, pgt_relid, 0 as depth from pgtrickle.pgt_stream_tables
      union
      select st.pgt_id, st.pgt_relid, level.depth + 1
      from level
      join pgtrickle.pgt_dependencies as d on d.source_relid = level.pgt_relid
      join pgtrickle.pgt_stream_tables as st on st.pgt_id = d.pgt_id
      where level.depth < 100 -- the engine can be told to allow circles
    ),

    marked as (
      select st.pgt_id, st.pgt_schema, st.pgt_name, st.status, to_jsonb(st) ->> 'orchestration_mode' as orchestration_mode, {{ dbt_pgtrickle._pgtrickle_mark_sql('st') }} as mark
      from pgtrickle.pgt_stream_tables as st
      {%- if schema is not none %}
      where st.pgt_schema = {{ dbt_pgtrickle._pgtrickle_literal(schema) }}
      {%- endif %}
    ),

    owned as (
      select
        marked.*,
        case
          when pgt_schema = 'pgtrickle' then 'the engine'
          when mark is null then 'no mark'
          when mark ->> 'dbt_project' <> {{ dbt_pgtrickle._pgtrickle_literal(project_name) }} then 'another project'
          when mark ? 'schema' and mark ->> 'schema' <> {{ dbt_pgtrickle._pgtrickle_literal(target.schema) }} then 'another target'
          when mark ->> 'target' = {{ dbt_pgtrickle._pgtrickle_literal(target.name) }} or pgt_schema in ({{ schemas | join(', ') }}) then 'ours'
          else 'another target'
        end as owner
      from marked
    )
    select jsonb_build_object(
      'name', pgt_schema || '.' || pgt_name,
      'status', status,
      'is_external', coalesce(orchestration_mode = 'EXTERNAL', false),
      'owner', owner,
      'maker', case owner
        when 'another project' then mark ->> 'dbt_project'
        when 'another target' then coalesce((mark ->> 'target') || ' (schema ' || (mark ->> 'schema') || ')', 'of schema ' || pgt_schema)
      end
    )::text
    from owned
    order by (select max(level.depth) from level where level.pgt_id = owned.pgt_id), pgt_schema, pgt_name
  {%- endset -%}
  {%- set tables = [] -%}
  {%- for table in dbt_pgtrickle._pgtrickle_first_column(sql) -%}
    {%- do tables.append(fromjson(table)) -%}
  {%- endfor -%}
  {{- return(tables) -}}
{% endmacro %}

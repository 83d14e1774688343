{#
  A catalog as dbt read it, in which stream tables are called so, have statistics, and lack the columns that the engine
  adds. Everything else is as it was. The rows travel to the server and back as JSON: macros cannot make or change a table.
#}
{% macro _pgtrickle_catalog(catalog) %}
  {%- set names = catalog.column_names | list -%}
  {%- set rows = [] -%}
  {%- for row in catalog.rows -%}
    {%- set values = {} -%}
    {%- for name in names -%}
      {%- do values.update({name: none if row[name] is none else row[name] | string}) -%}
    {%- endfor -%}
    {%- do rows.append(values) -%}
  {%- endfor -%}
  {#- A role without rights on the engine documents ordinary models. -#}
  {%- set readable %}
    select 1
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = 'pgtrickle' and c.relname = 'pgt_stream_tables'
      and pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select')
  {%- endset -%}
  {%- if not rows or not dbt_pgtrickle._pgtrickle_first_column(readable) -%}
    {{- return(catalog) -}}
  {%- endif -%}

  {%- set statistics = {
    'schedule': ['Schedule', 'How often it is refreshed', "coalesce(st.schedule, case when st.refresh_mode <> 'IMMEDIATE' then 'calculated' end)"],
    'refresh_mode': ['Refresh mode', 'How it is refreshed', 'st.refresh_mode'],
    'status': ['Status', 'What pg_trickle says of it', 'st.status'],
    'last_refresh': ['Last refresh', 'When it was refreshed', 'st.last_refresh_at::timestamp(0)::text'],
    'rows': ['Rows', 'About how many rows it has', 'nullif(c.reltuples, -1)::bigint::text'],
  } -%}
  {%- set sql %}
    select
      {%- for name in names %}
      {% if name == 'table_type' -%}
        case when st.pgt_id is null then entry.table_type else 'STREAM TABLE' end as table_type,
      {%- else -%}
        entry.{{ adapter.quote(name) }},
      {%- endif %}
      {%- endfor %}
      {%- for id, statistic in statistics.items() %}
      case when st.pgt_id is not null then {{ dbt_pgtrickle._pgtrickle_literal(statistic[0]) }} end as "stats:{{ id }}:label",
      case when st.pgt_id is not null then {{ dbt_pgtrickle._pgtrickle_literal(statistic[1]) }} end as "stats:{{ id }}:description",
      {{ statistic[2] }} as "stats:{{ id }}:value",
      case when st.pgt_id is not null then {{ statistic[2] }} is not null end as "stats:{{ id }}:include"{{ ',' if not loop.last }}
      {%- endfor %}
    from jsonb_to_recordset({{ dbt_pgtrickle._pgtrickle_literal(tojson(rows)) }}) as entry (
      {%- for name in names %}
      {{ adapter.quote(name) }} {{ 'integer' if name == 'column_index' else 'text' }}{{ ',' if not loop.last }}
      {%- endfor %}
    )
    left join pgtrickle.pgt_stream_tables as st on st.pgt_schema = entry.table_schema and st.pgt_name = entry.table_name
    left join pg_catalog.pg_class as c on c.oid = st.pgt_relid
    where st.pgt_id is null or not starts_with(entry.column_name, '__pgt_')
    order by entry.table_schema, entry.table_name, entry.column_index
  {%- endset -%}
  {{- return(run_query(sql)) -}}
{% endmacro %}

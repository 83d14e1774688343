{# The columns that a query gives, in their order: {name, type}. The query is not run. #}
{% macro _pgtrickle_query_columns(query) %}
  {%- set columns = [] -%}
  {%- for name in get_columns_in_query(query) -%}
    {%- do columns.append({'name': name, 'type': 'pg_typeof(query.' ~ adapter.quote(name) ~ ')::text'}) -%}
  {%- endfor -%}
  {#- The join returns no rows, but it has the types. -#}
  {%- set sql %}
    select unnest(array[{{ columns | map(attribute='type') | join(', ') }}])
    from (select 1) as nothing
    left join (
{{ query }}
    ) as query on false
  {%- endset -%}
  {%- for type in dbt_pgtrickle._pgtrickle_first_column(sql) -%}
    {%- do columns[loop.index0].update({'type': type}) -%}
  {%- endfor -%}
  {{- return(columns) -}}
{% endmacro %}

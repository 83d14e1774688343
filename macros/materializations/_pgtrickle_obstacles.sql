{#
  Why a stream table cannot take the columns of its new query in place; nothing when it can. The engine fills the storage
  by position, appends new columns behind all others, its own included, and leaves the type of a column as it is or builds
  the storage again. What other stream tables read cannot get a column at all: its refreshes fail from then on
  (docs/pg_trickle.md, Changing the query).
#}
{% macro _pgtrickle_obstacles(deployed, query) %}
  {%- set given = dbt_pgtrickle._pgtrickle_query_columns(query) -%}
  {%- set names = given | map(attribute='name') | list -%}
  {%- set stored_names = deployed.columns | map(attribute='name') | list -%}
  {%- set obstacles = [] -%}

  {%- for column in given if column.name in stored_names -%}
    {%- set stored = deployed.columns[stored_names.index(column.name)] -%}
    {#- `text` and `varchar` without a length are one type. -#}
    {%- if stored.type | replace('character varying', 'text') != column.type | replace('character varying', 'text') -%}
      {%- do obstacles.append('type of ' ~ column.name) -%}
    {%- endif -%}
  {%- endfor -%}

  {%- set added = names | reject('in', stored_names) | list -%}
  {%- set afterwards = [] -%}
  {%- for name in stored_names if name in names or name.startswith('__pgt_') -%}
    {%- do afterwards.append(name) -%}
  {%- endfor -%}
  {%- if (afterwards + added)[:names | length] != names -%}
    {%- do obstacles.append('order of columns') -%}
  {%- elif added and deployed.is_read -%}
    {%- do obstacles.append('new columns, which others read') -%}
  {%- endif -%}
  {{- return(obstacles) -}}
{% endmacro %}

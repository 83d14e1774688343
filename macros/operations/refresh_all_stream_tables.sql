{#
  dbt run-operation refresh_all_stream_tables [--args '{schema: analytics}']

  Refreshes the database's stream tables, or those of one schema, each after those that it reads from and in a
  transaction of its own.
#}
{% macro refresh_all_stream_tables(schema=none) %}
  {%- for name in dbt_pgtrickle.pgtrickle_list_stream_tables(schema=schema) -%}
    {%- do dbt_pgtrickle.pgtrickle_begin() -%}
    {%- do dbt_pgtrickle.pgtrickle_refresh_stream_table(name) -%}
    {%- do dbt_pgtrickle.pgtrickle_commit() -%}
    {%- do log('refreshed ' ~ name, info=true) -%}
  {%- endfor -%}
{% endmacro %}

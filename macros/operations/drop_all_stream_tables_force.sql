{#
  dbt run-operation drop_all_stream_tables_force [--args '{schema: analytics}']

  Drops every stream table of the database, or of one schema, whoever made it, and all that reads from them. Those by
  which the engine watches itself stay.
#}
{% macro drop_all_stream_tables_force(schema=none) %}
  {%- do dbt_pgtrickle.pgtrickle_begin() -%}
  {%- do dbt_pgtrickle.pgtrickle_lock() -%}
  {%- for table in dbt_pgtrickle.pgtrickle_list_stream_tables(schema=schema) | reverse if table.owner != 'the engine' -%}
    {%- do dbt_pgtrickle.pgtrickle_drop_stream_table(table.name, cascade=true) -%}
    {%- do log('dropped ' ~ table.name, info=true) -%}
  {%- endfor -%}
  {%- do dbt_pgtrickle.pgtrickle_commit() -%}
{% endmacro %}

{#
  dbt run-operation drop_all_stream_tables

  Drops every stream table that bears this project's mark, also those whose model is gone, and nothing else: when a
  stream table of somebody else reads from one of them, the engine refuses and none is dropped.
#}
{% macro drop_all_stream_tables() %}
  {%- do dbt_pgtrickle.pgtrickle_begin() -%}
  {%- do dbt_pgtrickle.pgtrickle_lock() -%}
  {%- for name in dbt_pgtrickle.pgtrickle_list_stream_tables(dbt_project=project_name) | reverse -%}
    {%- do dbt_pgtrickle.pgtrickle_drop_stream_table(name) -%}
    {%- do log('dropped ' ~ name, info=true) -%}
  {%- endfor -%}
  {%- do dbt_pgtrickle.pgtrickle_commit() -%}
{% endmacro %}

{#
  dbt run-operation drop_all_stream_tables_force [--args '{schema: analytics}']

  Drops every stream table of the database, or of one schema, of any owner, and all that reads from them. Those by
  which the engine watches itself stay.
#}
{% macro drop_all_stream_tables_force(schema=none) %}
  {%- if not dbt_pgtrickle._pgtrickle_only_renders() -%}
    {%- set begun = dbt_pgtrickle._pgtrickle_begin_own() -%}
    {%- do dbt_pgtrickle._pgtrickle_lock() -%}
    {%- set dropped = [] -%}
    {%- for table in dbt_pgtrickle._pgtrickle_list_stream_tables(schema=schema) | reverse if table.owner != 'the engine' -%}
      {%- do dbt_pgtrickle._pgtrickle_drop(table.name, cascade=true) -%}
      {%- do dropped.append(table.name) -%}
    {%- endfor -%}
    {%- do dbt_pgtrickle._pgtrickle_commit_own(begun) -%}

    {%- for name in dropped -%}
      {%- do dbt_pgtrickle._pgtrickle_log('dropped ' ~ name) -%}
    {%- endfor -%}
    {%- do dbt_pgtrickle._pgtrickle_log(
        'dropped ' ~ dropped | length ~ ' stream table' ~ ('' if dropped | length == 1 else 's') ~ ', of all projects and targets'
        ~ (', in the schema ' ~ schema if schema else '')
    ) -%}
  {%- endif -%}
{% endmacro %}

{#
  dbt run-operation refresh_all_stream_tables [--args '{schema: analytics}']

  Refreshes the stream tables of this project and target, or those of them in one schema, each after those that it reads
  from and in a transaction of its own. A suspended one is skipped, and one that an external orchestrator refreshes. One whose refresh fails does not keep the others from
  theirs: the operation fails at the end and names it. The table of a model that was deployed without this
  package has no mark yet and is refreshed as well.
#}
{% macro refresh_all_stream_tables(schema=none) %}
  {%- if not dbt_pgtrickle._pgtrickle_only_renders() -%}
    {%- set models = [] -%}
    {%- for node in dbt_pgtrickle._pgtrickle_models() -%}
      {%- do models.append(dbt_pgtrickle._pgtrickle_name(dbt_pgtrickle._pgtrickle_relation_of(node))) -%}
    {%- endfor -%}
    {%- set refreshed = [] -%}
    {%- set failed = [] -%}
    {%- set left = [] -%}
    {%- for table in dbt_pgtrickle._pgtrickle_list_stream_tables(schema=schema) if table.owner != 'the engine' -%}
      {%- if table.owner != 'ours' and not (table.owner == 'no mark' and table.name in models) -%}
        {%- do left.append(table) -%}
      {%- elif table.status == 'SUSPENDED' -%}
        {%- do dbt_pgtrickle._pgtrickle_log('skipped ' ~ table.name ~ ': it is suspended') -%}
      {%- elif table.is_external -%}
        {%- do dbt_pgtrickle._pgtrickle_log('skipped ' ~ table.name ~ ': an external orchestrator refreshes it') -%}
      {%- else -%}
        {%- set failure = dbt_pgtrickle._pgtrickle_try_refresh(table.name) -%}
        {%- do dbt_pgtrickle._pgtrickle_log('refreshed ' ~ table.name if failure is none else 'cannot refresh ' ~ table.name ~ ': ' ~ failure) -%}
        {%- do (refreshed if failure is none else failed).append(table.name) -%}
      {%- endif -%}
    {%- endfor -%}
    {%- do dbt_pgtrickle._pgtrickle_log_done('refreshed', refreshed | length, left) -%}
    {%- if failed -%}
      {%- do dbt_pgtrickle._pgtrickle_raise('refresh_all_stream_tables: ' ~ failed | length ~ ' failed: ' ~ failed | join(', ')) -%}
    {%- endif -%}
  {%- endif -%}
{% endmacro %}

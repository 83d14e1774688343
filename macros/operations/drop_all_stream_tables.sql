{#
  dbt run-operation drop_all_stream_tables

  Drops every stream table that this project made for this target, also those whose model is gone, and nothing else: when
  a stream table of another project reads from one of them, the engine refuses and none is dropped. Says what it dropped,
  and how many stream tables of the database it left, and why.
#}
{% macro drop_all_stream_tables() %}
  {%- if not dbt_pgtrickle._pgtrickle_only_renders() -%}
    {%- set begun = dbt_pgtrickle._pgtrickle_begin_own() -%}
    {%- do dbt_pgtrickle._pgtrickle_lock() -%}
    {%- set tables = dbt_pgtrickle._pgtrickle_list_stream_tables() -%}
    {%- set dropped = tables | selectattr('owner', 'equalto', 'ours') | map(attribute='name') | reverse | list -%}
    {%- for name in dropped -%}
      {%- do dbt_pgtrickle._pgtrickle_drop(name) -%}
    {%- endfor -%}
    {%- do dbt_pgtrickle._pgtrickle_commit_own(begun) -%}

    {%- for name in dropped -%}
      {%- do dbt_pgtrickle._pgtrickle_log('dropped ' ~ name) -%}
    {%- endfor -%}
    {%- do dbt_pgtrickle._pgtrickle_log_done('dropped', dropped | length, tables | rejectattr('owner', 'in', ['ours', 'the engine']) | list) -%}
  {%- endif -%}
{% endmacro %}

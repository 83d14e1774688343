{#
  Drops a stream table and commits, or joins the transaction of the model whose hook calls it. Stream tables that read from it
  go with it when `cascade` says so; otherwise the engine refuses.
#}
{% macro pgtrickle_drop_stream_table(name, cascade=false) %}
  {%- if not dbt_pgtrickle._pgtrickle_only_renders() -%}
    {%- set relation = dbt_pgtrickle._pgtrickle_relation_named(name) -%}
    {%- set begun = dbt_pgtrickle._pgtrickle_begin_own() -%}
    {%- do dbt_pgtrickle._pgtrickle_lock() -%}
    {%- do dbt_pgtrickle._pgtrickle_drop(relation, cascade) -%}
    {%- do dbt_pgtrickle._pgtrickle_commit_own(begun) -%}
    {%- do dbt_pgtrickle._pgtrickle_log('dropped ' ~ dbt_pgtrickle._pgtrickle_name(relation)) -%}
  {%- endif -%}
{% endmacro %}

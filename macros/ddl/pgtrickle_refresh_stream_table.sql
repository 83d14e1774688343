{#
  Refreshes a stream table and commits, or joins the transaction of the model whose hook calls it. Fails when the engine
  skipped it, because another refresh of it is under way.
#}
{% macro pgtrickle_refresh_stream_table(name) %}
  {%- if not dbt_pgtrickle._pgtrickle_only_renders() -%}
    {%- set relation = dbt_pgtrickle._pgtrickle_relation_named(name) -%}
    {%- set begun = dbt_pgtrickle._pgtrickle_begin_own() -%}
    {%- do dbt_pgtrickle._pgtrickle_refresh(relation) -%}
    {%- do dbt_pgtrickle._pgtrickle_commit_own(begun) -%}
    {%- do dbt_pgtrickle._pgtrickle_log('refreshed ' ~ dbt_pgtrickle._pgtrickle_name(relation)) -%}
  {%- endif -%}
{% endmacro %}

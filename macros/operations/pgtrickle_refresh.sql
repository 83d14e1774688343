{#
  dbt run-operation pgtrickle_refresh --args '{model_name: order_totals}'
#}
{% macro pgtrickle_refresh(model_name) %}
  {%- for node in dbt_pgtrickle.pgtrickle_models(model_name) if execute -%}
    {%- set relation = dbt_pgtrickle.pgtrickle_relation_of(node) -%}
    {%- do dbt_pgtrickle.pgtrickle_begin() -%}
    {%- do dbt_pgtrickle.pgtrickle_refresh_stream_table(relation) -%}
    {%- do dbt_pgtrickle.pgtrickle_commit() -%}
    {%- do log('refreshed ' ~ dbt_pgtrickle.pgtrickle_name(relation), info=true) -%}
  {%- endfor -%}
{% endmacro %}

{#
  dbt run-operation pgtrickle_refresh --args '{model_name: order_totals}'
  dbt run-operation pgtrickle_refresh --args '{model_name: analytics.order_totals}'

  Refreshes one stream table: a model's, or any other by its name. A bare name that is no model's is looked for in `schema`, or
  in the target's.
#}
{% macro pgtrickle_refresh(model_name, schema=none) %}
  {%- if not dbt_pgtrickle._pgtrickle_only_renders() -%}
    {%- do dbt_pgtrickle.pgtrickle_refresh_stream_table(dbt_pgtrickle._pgtrickle_relation_named(model_name, schema)) -%}
  {%- endif -%}
{% endmacro %}

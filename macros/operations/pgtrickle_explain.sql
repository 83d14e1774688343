{#
  dbt run-operation pgtrickle_explain --args '{model_name: order_totals}'

  What the engine says about a stream table, a line a property; fails when there is no such table.
#}
{% macro pgtrickle_explain(model_name) %}
  {%- if not dbt_pgtrickle._pgtrickle_only_renders() -%}
    {%- set name = dbt_pgtrickle._pgtrickle_name(dbt_pgtrickle._pgtrickle_relation_named(model_name)) -%}
    {%- for row in run_query('select property, value from pgtrickle.explain_st(' ~ dbt_pgtrickle._pgtrickle_literal(name) ~ ')').rows -%}
      {%- if row['property'] == 'error' -%}
        {%- do dbt_pgtrickle._pgtrickle_raise(row['value']) -%}
      {%- endif -%}
      {%- do dbt_pgtrickle._pgtrickle_log(row['property'] ~ ': ' ~ row['value']) -%}
    {%- endfor -%}
  {%- endif -%}
{% endmacro %}

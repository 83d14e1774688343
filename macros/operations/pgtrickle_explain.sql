{#
  dbt run-operation pgtrickle_explain --args '{model_name: order_totals}'

  What the engine says about a model's stream table, a line a property; fails when there is no such table.
#}
{% macro pgtrickle_explain(model_name) %}
  {%- for node in dbt_pgtrickle.pgtrickle_models(model_name) if execute -%}
    {%- set name = dbt_pgtrickle.pgtrickle_name(dbt_pgtrickle.pgtrickle_relation_of(node)) -%}
    {%- for row in run_query('select property, value from pgtrickle.explain_st(' ~ dbt_pgtrickle.pgtrickle_literal(name) ~ ')').rows -%}
      {%- if row['property'] == 'error' -%}
        {%- do exceptions.raise_compiler_error(row['value']) -%}
      {%- endif -%}
      {%- do log(row['property'] ~ ': ' ~ row['value'], info=true) -%}
    {%- endfor -%}
  {%- endfor -%}
{% endmacro %}

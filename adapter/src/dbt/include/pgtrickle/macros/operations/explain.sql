{# dbt run-operation explain --args '{model_name: order_totals}' #}
{% macro explain(model_name) %}
  {%- do adapter.pgtrickle_require() -%}
  {{- return(dbt_pgtrickle.pgtrickle_explain(model_name, **kwargs)) -}}
{% endmacro %}

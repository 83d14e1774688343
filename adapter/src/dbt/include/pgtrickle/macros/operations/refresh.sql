{# dbt run-operation refresh --args '{model_name: order_totals}' #}
{% macro refresh(model_name) %}
  {%- do adapter.pgtrickle_require() -%}
  {{- return(dbt_pgtrickle.pgtrickle_refresh(model_name, **kwargs)) -}}
{% endmacro %}

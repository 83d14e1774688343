{# dbt run-operation refresh_history --args '{model_name: order_totals, limit: 20}' #}
{% macro refresh_history(model_name, limit=10) %}
  {%- do adapter.pgtrickle_require() -%}
  {{- return(dbt_pgtrickle.pgtrickle_refresh_history(model_name, limit=limit, **kwargs)) -}}
{% endmacro %}

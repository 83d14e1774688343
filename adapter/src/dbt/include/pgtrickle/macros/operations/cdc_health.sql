{# dbt run-operation cdc_health #}
{% macro cdc_health() %}
  {%- do adapter.pgtrickle_require() -%}
  {{- return(dbt_pgtrickle.pgtrickle_check_cdc_health(**kwargs)) -}}
{% endmacro %}

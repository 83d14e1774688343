{#
  dbt run-operation pgtrickle_check_freshness [--args '{model_name: order_totals, warn_seconds: 90, error_seconds: 300}']

  Fails when a stream table of the project is an error by the rule of docs/checks.md, with the limits that are given.
#}
{% macro pgtrickle_check_freshness(model_name=none, warn_seconds=none, error_seconds=none) %}
  {%- if not dbt_pgtrickle._pgtrickle_only_renders() -%}
    {%- do dbt_pgtrickle._pgtrickle_report('freshness', dbt_pgtrickle._pgtrickle_health_rows(model_name, warn_seconds, error_seconds)) -%}
  {%- endif -%}
{% endmacro %}

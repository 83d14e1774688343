{#
  dbt run-operation pgtrickle_status [--args '{model_name: order_totals}']

  One line a stream table of the project: healthy, stale, erroring, paused, populating, frozen, gated or not_found. Fails when
  one is in no state to be read.
#}
{% macro pgtrickle_status(model_name=none) %}
  {%- if not dbt_pgtrickle._pgtrickle_only_renders() -%}
    {%- do dbt_pgtrickle._pgtrickle_report('status', dbt_pgtrickle._pgtrickle_health_rows(model_name)) -%}
  {%- endif -%}
{% endmacro %}

{#
  dbt run-operation pgtrickle_stream_table_status --args '{model_name: order_totals}'

  The same for one stream table. Called from a macro or a hook, it returns the state as a word and does not fail.
#}
{% macro pgtrickle_stream_table_status(model_name) %}
  {%- if execute -%}
    {%- set rows = dbt_pgtrickle.pgtrickle_health_rows(model_name) -%}
    {%- if flags.WHICH == 'run-operation' -%}
      {%- do dbt_pgtrickle.pgtrickle_report('status', rows) -%}
    {%- endif -%}
    {{- return(rows[0]['state']) -}}
  {%- endif -%}
{% endmacro %}

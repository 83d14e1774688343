{#
  What was done to a model, as dbt v2 does not show it: its line says `Succeeded`. dbt v1 prints the message of the statement
  `main` behind the model's name.
#}
{% macro _pgtrickle_report_done(target, done) %}
  {%- if dbt_pgtrickle._pgtrickle_is_v2() and done != 'UNCHANGED' -%}
    {%- do dbt_pgtrickle._pgtrickle_log(dbt_pgtrickle._pgtrickle_name(target) ~ ': ' ~ done) -%}
  {%- endif -%}
{% endmacro %}

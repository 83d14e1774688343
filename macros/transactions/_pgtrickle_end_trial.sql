{# Takes back what was done since _pgtrickle_begin_trial. #}
{% macro _pgtrickle_end_trial() %}
  {%- if dbt_pgtrickle._pgtrickle_is_v2() -%}
    {%- do dbt_pgtrickle._pgtrickle_rollback() -%}
  {%- else -%}
    {%- call statement('_pgtrickle_savepoint') -%}rollback to savepoint pgtrickle_trial{%- endcall -%}
  {%- endif -%}
{% endmacro %}

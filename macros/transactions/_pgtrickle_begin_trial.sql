{#
  Begins something that _pgtrickle_end_trial takes back: a savepoint in the model's transaction, or on dbt v2, which has none
  here, a transaction.
#}
{% macro _pgtrickle_begin_trial() %}
  {%- if dbt_pgtrickle._pgtrickle_is_v2() -%}
    {%- do dbt_pgtrickle._pgtrickle_begin_deployment() -%}
  {%- else -%}
    {%- call statement('_pgtrickle_savepoint') -%}savepoint pgtrickle_trial{%- endcall -%}
  {%- endif -%}
{% endmacro %}

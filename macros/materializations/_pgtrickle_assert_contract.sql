{#
  dbt's own check of an enforced contract. It makes PostgreSQL plan the query, which locks all that the query reads, while a
  change of a stream table may lock the same relations in another order. So no change runs meanwhile; and the locks end
  with the subtransaction, before _pgtrickle_deploy waits for anything.
#}
{% macro _pgtrickle_assert_contract(query) %}
  {%- if dbt_pgtrickle._pgtrickle_is_v2() -%}
    {#- Outside a transaction: dbt's check raises by itself, and v2 would leave the transaction open. -#}
    {%- do get_assert_columns_equivalent(query) -%}
  {%- else -%}
    {%- do dbt_pgtrickle._pgtrickle_begin_trial() -%}
    {%- do dbt_pgtrickle._pgtrickle_lock(shared=true) -%}
    {%- do get_assert_columns_equivalent(query) -%}
    {%- do dbt_pgtrickle._pgtrickle_end_trial() -%}
  {%- endif -%}
{% endmacro %}

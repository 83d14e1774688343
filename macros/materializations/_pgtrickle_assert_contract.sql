{#
  dbt's own check of an enforced contract. It makes PostgreSQL plan the query, which locks all that the query reads, while a
  change of a stream table may lock the same relations in another order. So no change runs meanwhile; and the locks end
  with the subtransaction, before _pgtrickle_deploy waits for anything.

  dbt's check raises by itself, and v2 would leave the transaction open. So there dbt is only asked for its message, outside,
  when a look at the columns has shown that it has one.
#}
{% macro _pgtrickle_assert_contract(query) %}
  {%- if not dbt_pgtrickle._pgtrickle_is_v2() -%}
    {%- do dbt_pgtrickle._pgtrickle_begin_trial() -%}
    {%- do dbt_pgtrickle._pgtrickle_lock(shared=true) -%}
    {%- do get_assert_columns_equivalent(query) -%}
    {%- do dbt_pgtrickle._pgtrickle_end_trial() -%}
  {%- elif not dbt_pgtrickle._pgtrickle_keeps_contract(query) -%}
    {%- do get_assert_columns_equivalent(query) -%}
  {%- endif -%}
{% endmacro %}

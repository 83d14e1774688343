{#
  dbt's own check of an enforced contract. It makes PostgreSQL plan the query, which locks all that the query reads, while a
  change of a stream table may lock the same relations in another order. So no change runs meanwhile; and the locks end
  with the subtransaction, before _pgtrickle_deploy waits for anything.
#}
{% macro _pgtrickle_assert_contract(query) %}
  {%- call statement('pgtrickle_savepoint') -%}savepoint pgtrickle_contract{%- endcall -%}
  {%- do dbt_pgtrickle._pgtrickle_lock(shared=true) -%}
  {%- do get_assert_columns_equivalent(query) -%}
  {%- call statement('pgtrickle_savepoint') -%}rollback to savepoint pgtrickle_contract{%- endcall -%}
{% endmacro %}

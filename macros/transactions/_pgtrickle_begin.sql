{#
  Begins the transaction of a model. dbt's own begin is not enough: since dbt-postgres 1.10 it sends nothing after the
  connection's first commit, and every statement then commits by itself; without any, a materialization's work is rolled
  back although dbt reports success. Where dbt did send its own, PostgreSQL warns that a transaction is in progress already.

  On dbt v2 the transaction is only as long as the deployment: see _pgtrickle_begin_deployment.
#}
{% macro _pgtrickle_begin() %}
  {%- if not dbt_pgtrickle._pgtrickle_is_v2() -%}
    {%- call statement('_pgtrickle_begin', auto_begin=True) -%}begin{%- endcall -%}
  {%- endif -%}
{% endmacro %}

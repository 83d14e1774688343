{#
  Begins a transaction that the server knows of, on every dbt version. dbt's own begin is not enough: since
  dbt-postgres 1.10 it sends nothing after the connection's first commit, and every statement then commits by itself;
  while without any, a materialization's work is rolled back although dbt reports success.
  Where dbt did send its own, PostgreSQL warns that a transaction is in progress already, and goes on.
#}
{% macro _pgtrickle_begin() %}
  {%- call statement('_pgtrickle_begin', auto_begin=True) -%}begin{%- endcall -%}
{% endmacro %}

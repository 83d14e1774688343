{# Rolls back on the server. Outside a transaction PostgreSQL only warns. #}
{% macro _pgtrickle_rollback() %}
  {%- call statement('_pgtrickle_rollback', auto_begin=false) -%}rollback{%- endcall -%}
{% endmacro %}

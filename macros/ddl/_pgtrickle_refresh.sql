{# Refreshes a stream table now: see _pgtrickle_refresh_statements. #}
{% macro _pgtrickle_refresh(relation) %}
  {%- do dbt_pgtrickle._pgtrickle_execute_block(dbt_pgtrickle._pgtrickle_refresh_statements(relation)) -%}
{% endmacro %}

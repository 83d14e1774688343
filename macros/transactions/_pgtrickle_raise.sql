{# Raises an error. On dbt v2 it rolls back before, because dbt does not. #}
{% macro _pgtrickle_raise(message) %}
  {%- if dbt_pgtrickle._pgtrickle_is_v2() -%}
    {%- do dbt_pgtrickle._pgtrickle_rollback() -%}
  {%- endif -%}
  {%- do exceptions.raise_compiler_error(message) -%}
{% endmacro %}

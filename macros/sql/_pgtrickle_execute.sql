{# Runs one call of the extension. #}
{% macro _pgtrickle_execute(call) %}
  {%- do dbt_pgtrickle._pgtrickle_execute_block('perform ' ~ call ~ ';') -%}
{% endmacro %}

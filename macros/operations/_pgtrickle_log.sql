{# A line of the package in dbt's log. #}
{% macro _pgtrickle_log(message) %}
  {%- do log('pg_trickle: ' ~ message, info=true) -%}
{% endmacro %}

{# text, boolean, integer or number. Booleans first: to Jinja they are numbers, too. #}
{% macro _pgtrickle_type_of(value) %}
  {{- return('boolean' if value is boolean else 'integer' if value is integer else 'number' if value is number else 'text') -}}
{% endmacro %}

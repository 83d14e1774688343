{# A stream table's name as the extension's functions take it: `schema.name`, never quoted. Given a name, it is returned. #}
{% macro _pgtrickle_name(relation) %}
  {{- return(relation if relation is string else relation.schema ~ '.' ~ relation.identifier) -}}
{% endmacro %}

{% macro pgtrickle__get_catalog(information_schema, schemas) %}
  {{- return(dbt_pgtrickle.postgres__get_catalog(information_schema, schemas)) -}}
{% endmacro %}

{% macro pgtrickle__get_catalog_relations(information_schema, relations) %}
  {{- return(dbt_pgtrickle.postgres__get_catalog_relations(information_schema, relations)) -}}
{% endmacro %}

{# dbt's own, with stream tables as what they are: see _pgtrickle_catalog. #}
{% macro postgres__get_catalog_relations(information_schema, relations) %}
  {{- return(dbt_pgtrickle._pgtrickle_catalog(dbt.postgres__get_catalog_relations(information_schema, relations))) -}}
{% endmacro %}

{# dbt's own, with stream tables as what they are: see _pgtrickle_catalog. dbt takes it for many relations, and before 1.7 always. #}
{% macro postgres__get_catalog(information_schema, schemas) %}
  {{- return(dbt_pgtrickle._pgtrickle_catalog(dbt.postgres__get_catalog(information_schema, schemas))) -}}
{% endmacro %}

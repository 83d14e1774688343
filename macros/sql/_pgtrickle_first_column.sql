{# The first column of a query's result, as a list; empty while dbt only parses. #}
{% macro _pgtrickle_first_column(sql) %}
  {{- return(run_query(sql).columns[0].values() | list if execute else []) -}}
{% endmacro %}

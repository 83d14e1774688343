{# dbt's own, without the columns that pg_trickle adds to a stream table. #}
{% macro pgtrickle__get_columns_in_relation(relation) %}
  {{- return(adapter.pgtrickle_visible_columns(relation, dbt.postgres__get_columns_in_relation(relation))) -}}
{% endmacro %}

{% macro pgtrickle__get_columns_in_query(select_sql) %}
  {{- return(dbt_pgtrickle.postgres__get_columns_in_query(select_sql)) -}}
{% endmacro %}

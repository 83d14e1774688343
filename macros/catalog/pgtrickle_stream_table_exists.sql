{# Whether this relation is a stream table. #}
{% macro pgtrickle_stream_table_exists(relation) %}
  {{- return(dbt_pgtrickle.pgtrickle_get_stream_table(relation) is not none) -}}
{% endmacro %}

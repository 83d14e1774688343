{# Whether there is a stream table of this name; false while dbt parses. #}
{% macro pgtrickle_stream_table_exists(name) %}
  {{- return(dbt_pgtrickle.pgtrickle_get_stream_table_info(name) is not none) -}}
{% endmacro %}

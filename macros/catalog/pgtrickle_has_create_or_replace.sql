{# Whether the server's pg_trickle has create_or_replace_stream_table; false while dbt parses. #}
{% macro pgtrickle_has_create_or_replace() %}
  {{- return(execute and 'create_or_replace_stream_table' in dbt_pgtrickle._pgtrickle_engine().parameters) -}}
{% endmacro %}

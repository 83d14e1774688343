{# The package's, without its prefix. #}
{% test stream_table_healthy(model) %}
  {{- dbt_pgtrickle.test_stream_table_healthy(model, **kwargs) -}}
{% endtest %}

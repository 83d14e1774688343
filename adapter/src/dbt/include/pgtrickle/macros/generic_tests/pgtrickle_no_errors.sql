{# The package's, without its prefix. #}
{% test pgtrickle_no_errors(model) %}
  {{- dbt_pgtrickle.test_pgtrickle_no_errors(model, **kwargs) -}}
{% endtest %}

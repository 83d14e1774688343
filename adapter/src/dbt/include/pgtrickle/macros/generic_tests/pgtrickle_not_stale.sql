{# The package's, without its prefix. #}
{% test pgtrickle_not_stale(model) %}
  {{- dbt_pgtrickle.test_pgtrickle_not_stale(model, **kwargs) -}}
{% endtest %}

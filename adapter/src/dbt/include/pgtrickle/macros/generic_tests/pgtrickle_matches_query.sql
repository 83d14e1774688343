{# The package's, without its prefix. #}
{% test pgtrickle_matches_query(model) %}
  {{- dbt_pgtrickle.test_pgtrickle_matches_query(model, **kwargs) -}}
{% endtest %}

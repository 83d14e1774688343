{# Fails when the stream table is missing, or its refresh fails or has failed. #}
{% test pgtrickle_no_errors(model) %}
  {%- if execute -%}
    select * from ({{ dbt_pgtrickle.pgtrickle_health_of(model) }}) as health where failing or state = 'not_found'
  {%- endif -%}
{% endtest %}

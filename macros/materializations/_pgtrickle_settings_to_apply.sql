{# The differing settings, unless `on_configuration_change` forbids applying them, as in dbt's own materialized views. #}
{% macro _pgtrickle_settings_to_apply(deployed, settings) %}
  {%- set differing = dbt_pgtrickle._pgtrickle_differing_settings(deployed, settings) -%}
  {%- set policy = config.get('on_configuration_change', 'apply') | string | lower -%}
  {%- if not differing or policy == 'apply' or should_full_refresh() -%}
    {{- return(differing) -}}
  {%- endif -%}

  {%- set message = model.unique_id ~ ': ' ~ differing | join(', ') ~ ' changed, and on_configuration_change is `' ~ policy ~ '`' -%}
  {%- if policy == 'fail' -%}
    {%- do dbt_pgtrickle._pgtrickle_raise(message) -%}
  {%- endif -%}
  {%- do exceptions.warn(message) -%}
  {{- return({}) -}}
{% endmacro %}

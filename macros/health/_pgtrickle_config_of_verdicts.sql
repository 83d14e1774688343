{# The configuration of a generic test whose rows have a column `verdict`: `warn` makes it warn, `error` makes it fail. #}
{% macro _pgtrickle_config_of_verdicts() %}
  {{- config(fail_calc="coalesce(max(case verdict when 'error' then 2 else 1 end), 0)", warn_if='!= 0', error_if='> 1') -}}
{% endmacro %}

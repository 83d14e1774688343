{# Whether two schedules are equal, as `60s` and `1m`. The engine parses them. #}
{% macro _pgtrickle_same_schedule(one, other) %}
  {%- if one is none or other is none or one == other -%}
    {{- return(one == other) -}}
  {%- endif -%}
  {%- set sql %}
    select pgtrickle.parse_duration_seconds({{ dbt_pgtrickle._pgtrickle_literal(one) }})
      = pgtrickle.parse_duration_seconds({{ dbt_pgtrickle._pgtrickle_literal(other) }})
  {%- endset -%}
  {#- Null, and so not equal, if one of them is a cron expression. -#}
  {{- return(dbt_pgtrickle._pgtrickle_first_column(sql)[0] == true) -}}
{% endmacro %}

{#
  A value as SQL. Never dollar quotes: dbt v2 splits what it sends at semicolons and knows only single quotes.
#}
{% macro _pgtrickle_literal(value) %}
  {%- if value is none -%}
    {{- return('null') -}}
  {%- elif value is boolean or value is number -%}
    {{- return(value | string | lower) -}}
  {%- else -%}
    {{- return("'" ~ value | replace("'", "''") ~ "'") -}}
  {%- endif -%}
{% endmacro %}

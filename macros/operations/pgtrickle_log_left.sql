{# Logs how many stream tables an operation left alone, and why. #}
{% macro pgtrickle_log_left(tables) %}
  {%- set counts = {} -%}
  {%- for table in tables -%}
    {%- set why = {
        'another target': 'made for the target ' ~ table.maker,
        'another project': 'made by the dbt project ' ~ table.maker,
        'no mark': 'not marked by this package (`dbt run` marks those of models)',
      }.get(table.owner, table.owner) -%}
    {%- do counts.update({why: counts.get(why, 0) + 1}) -%}
  {%- endfor -%}
  {%- set reasons = [] -%}
  {%- for why, count in counts.items() -%}
    {%- do reasons.append(count ~ ' ' ~ why) -%}
  {%- endfor -%}
  {%- do log('left ' ~ tables | length ~ ': ' ~ reasons | join(', ') if reasons else 'left 0', info=true) -%}
{% endmacro %}

{# Logs how many stream tables of this project and target were dropped or refreshed, how many others were left, and why. #}
{% macro _pgtrickle_log_done(done, count, left) %}
  {%- set counts = {} -%}
  {%- for table in left -%}
    {%- set why = {
        'another target': 'made for the target ' ~ table.maker,
        'another project': 'made by the dbt project ' ~ table.maker,
        'no mark': 'not marked by this package (`dbt run` marks those of models)',
      }[table.owner] -%}
    {%- do counts.update({why: counts.get(why, 0) + 1}) -%}
  {%- endfor -%}
  {%- set reasons = [] -%}
  {%- for why, count in counts.items() -%}
    {%- do reasons.append(count ~ ' ' ~ why) -%}
  {%- endfor -%}
  {%- do dbt_pgtrickle._pgtrickle_log(
      done ~ ' ' ~ count ~ ' stream table' ~ ('' if count == 1 else 's') ~ ' of ' ~ project_name ~ ' for the target ' ~ target.name
      ~ ' (schema ' ~ target.schema ~ '), left ' ~ left | length ~ (': ' ~ reasons | join(', ') if reasons else '')
  ) -%}
{% endmacro %}

{# Fails when two texts are one query to the package and not to the list, or the other way round. #}
{% macro check_query_pairs(pairs) %}
  {%- set wrong = [] -%}
  {%- for pair in pairs if dbt_pgtrickle._pgtrickle_same_query(pair.one, pair.other) != pair.same -%}
    {%- do wrong.append(pair.one ~ ' / ' ~ pair.other) -%}
  {%- endfor -%}
  {%- if wrong -%}
    {%- do exceptions.raise_compiler_error('not judged as listed: ' ~ wrong | join(' and ')) -%}
  {%- endif -%}
  {%- do log(pairs | length ~ ' pairs are judged as listed', info=true) -%}
{% endmacro %}

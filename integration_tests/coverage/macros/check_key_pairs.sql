{# Fails when a key is taken for a misspelling of another one than the list says. #}
{% macro check_key_pairs(pairs) %}
  {%- set wrong = [] -%}
  {%- for pair in pairs -%}
    {%- set sentences = dbt_pgtrickle._pgtrickle_misspelled({'unrendered_config': {pair.key: '1h'}}) -%}
    {%- set expected = ['`' ~ pair.key ~ '` is not a pgtrickle key: did you mean `' ~ pair.meant ~ '`?'] if pair.meant else [] -%}
    {%- if sentences != expected -%}
      {%- do wrong.append(pair.key) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- if wrong -%}
    {%- do exceptions.raise_compiler_error('not judged as listed: ' ~ wrong | join(', ')) -%}
  {%- endif -%}
  {%- do log(pairs | length ~ ' keys are judged as listed', info=true) -%}
{% endmacro %}

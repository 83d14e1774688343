{# Settings as the engine writes them, without those that are none. #}
{% macro _pgtrickle_engine_settings(given) %}
  {%- set settings = {} -%}
  {%- for name, value in given.items() if value is not none -%}
    {%- do settings.update({name: dbt_pgtrickle._pgtrickle_engine_word(name, dbt_pgtrickle._pgtrickle_known_settings()[name], value)}) -%}
  {%- endfor -%}
  {%- if settings.get('status') == 'PAUSED' -%}
    {%- do settings.update({'status': 'SUSPENDED'}) -%}
  {%- endif -%}
  {{- return(settings) -}}
{% endmacro %}

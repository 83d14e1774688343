{# A configured value as the engine writes it: its word in its letter case, a duration in seconds as text. #}
{% macro _pgtrickle_engine_word(name, known, value) %}
  {%- if value is boolean and 'on' in known.get('values', []) -%}
    {#- To YAML, on and off are booleans. -#}
    {{- return('on' if value else 'off') -}}
  {%- elif name == 'schedule' and value is number and value is not boolean -%}
    {{- return(value | string) -}}
  {%- elif value is not string -%}
    {{- return(value) -}}
  {%- endif -%}
  {%- for word in known.get('values', []) if word | lower == value | trim | lower -%}
    {{- return(word) -}}
  {%- endfor -%}
  {{- return(value | trim) -}}
{% endmacro %}

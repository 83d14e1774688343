{# The call of a function of the extension, with named arguments: `pgtrickle.refresh_stream_table(name => 'a.b')`. #}
{% macro _pgtrickle_call(function, arguments) %}
  {%- set written = [] -%}
  {%- for name, value in arguments.items() -%}
    {%- do written.append(name ~ ' => ' ~ dbt_pgtrickle._pgtrickle_literal(value)) -%}
  {%- endfor -%}
  {{- return('pgtrickle.' ~ function ~ '(\n    ' ~ written | join(',\n    ') ~ '\n  )') -}}
{% endmacro %}

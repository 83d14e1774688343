{#
  Sentences about what is asked of an engine that does not have it: `arguments` of one of its functions. The version that
  is named has everything that this package knows.
#}
{% macro _pgtrickle_lacking(engine, function, arguments) %}
  {%- set lacking = [] -%}
  {%- for name in arguments if name not in engine.parameters.get(function, []) -%}
    {%- do lacking.append(
        name ~ ': ' ~ function ~ ' of pg_trickle ' ~ engine.version ~ ' on this server does not take it; pg_trickle 0.67.0 does'
    ) -%}
  {%- endfor -%}
  {{- return(lacking) -}}
{% endmacro %}

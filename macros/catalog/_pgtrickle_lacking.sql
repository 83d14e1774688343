{#
  Sentences about `arguments` of one of the engine's functions that the engine does not have. The named version has
  everything that this package uses.
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

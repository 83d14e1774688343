{#
  Sentences about `arguments` of one of the engine's functions that the engine does not have, with a version that has them.
#}
{% macro _pgtrickle_lacking(engine, function, arguments) %}
  {%- set lacking = [] -%}
  {%- for name in arguments if name not in engine.parameters.get(function, []) -%}
    {%- do lacking.append(
        name ~ ': ' ~ function ~ ' of pg_trickle ' ~ engine.version ~ ' on this server does not take it; pg_trickle '
        ~ dbt_pgtrickle._pgtrickle_known_settings().get(name, {}).get('since', '0.67.0') ~ ' does'
    ) -%}
  {%- endfor -%}
  {{- return(lacking) -}}
{% endmacro %}

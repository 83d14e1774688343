{#
  Sentences about `arguments` of one of the engine's functions that the engine does not have, with the first version that has
  them, of _pgtrickle_known_settings. Without one there it is the oldest version that this package supports.
#}
{% macro _pgtrickle_lacking(engine, function, arguments) %}
  {%- set lacking = [] -%}
  {%- for name in arguments if name not in engine.parameters.get(function, []) -%}
    {%- set known = dbt_pgtrickle._pgtrickle_known_settings().get(name, {}) -%}
    {%- set since = known.get('since', '0.40') -%}
    {%- if function == 'create_or_replace_stream_table' -%}
      {%- set since = known.get('replace_since', since) -%}
    {%- endif -%}
    {%- do lacking.append(
        name ~ ': ' ~ function ~ ' of pg_trickle ' ~ engine.version ~ ' on this server does not take it; pg_trickle ' ~ since
        ~ ' and later do'
    ) -%}
  {%- endfor -%}
  {{- return(lacking) -}}
{% endmacro %}

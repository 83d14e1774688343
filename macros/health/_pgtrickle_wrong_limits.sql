{# What is wrong with a model's `meta.pgtrickle.freshness`. `pgtrickle-ci` takes the same (src/model/age_limits.rs). #}
{% macro _pgtrickle_wrong_limits(node) %}
  {%- set problems = [] -%}
  {%- set freshness = ((node.config.get('meta') or {}).get('pgtrickle') or {}).get('freshness') or {} -%}
  {%- if freshness is not mapping -%}
    {{- return(['freshness is `' ~ freshness ~ '`, but has the keys warn_after and error_after']) -}}
  {%- endif -%}
  {%- for key, limit in freshness.items() -%}
    {%- if key not in ['warn_after', 'error_after'] -%}
      {%- do problems.append('freshness has no key `' ~ key ~ '`, only warn_after and error_after') -%}
    {%- elif limit is mapping and limit.get('count') is none and limit.get('period') is none
        and not limit.keys() | reject('in', ['count', 'period']) | list -%}
      {#- As dbt writes a limit that is not set. -#}
    {%- elif limit is not none
        and (limit is not mapping or limit.keys() | reject('in', ['count', 'period']) | list
             or dbt_pgtrickle._pgtrickle_type_of(limit.get('count')) != 'integer' or limit.get('count') < 0
             or limit.get('period') not in ['second', 'minute', 'hour', 'day']) -%}
      {%- do problems.append('freshness.' ~ key ~ ' is `' ~ limit ~ '`, but has a whole number as its count, and second, minute, hour or day as its period') -%}
    {%- endif -%}
  {%- endfor -%}
  {{- return(problems) -}}
{% endmacro %}

{# What is wrong with a model's `meta.pgtrickle.freshness`. #}
{% macro _pgtrickle_wrong_limits(node) %}
  {%- set problems = [] -%}
  {%- set freshness = ((node.config.get('meta') or {}).get('pgtrickle') or {}).get('freshness') or {} -%}
  {%- if freshness is not mapping -%}
    {{- return(['freshness is `' ~ freshness ~ '`, but has the keys warn_after and error_after']) -}}
  {%- endif -%}
  {%- for key, limit in freshness.items() -%}
    {%- if key not in ['warn_after', 'error_after'] -%}
      {%- do problems.append('freshness has no key `' ~ key ~ '`, only warn_after and error_after') -%}
    {%- elif limit is not none
        and (limit is not mapping or dbt_pgtrickle._pgtrickle_type_of(limit.get('count')) != 'integer'
             or limit.get('period') not in ['second', 'minute', 'hour', 'day']) -%}
      {%- do problems.append('freshness.' ~ key ~ ' is `' ~ limit ~ '`, but has a whole number as its count, and second, minute, hour or day as its period') -%}
    {%- endif -%}
  {%- endfor -%}
  {{- return(problems) -}}
{% endmacro %}

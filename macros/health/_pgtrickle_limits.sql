{#
  The age in seconds from which a model's table is late, and from which it is too old: from `meta.pgtrickle.freshness`,
  written as dbt writes it for sources. Limits that a model sets replace those of its schedule: a limit that it leaves out
  is none, which is `Infinity`. A model that sets none gets none here, and those of its schedule.
#}
{% macro _pgtrickle_limits(node) %}
  {%- set freshness = ((node.config.get('meta') or {}).get('pgtrickle') or {}).get('freshness') or {} -%}
  {%- set seconds_in = {'second': 1, 'minute': 60, 'hour': 3600, 'day': 86400} -%}
  {%- set limits = {} -%}
  {%- for key in ['warn_after', 'error_after'] -%}
    {%- set limit = freshness.get(key) or {} -%}
    {%- if limit.get('count') is not none -%}
      {%- do limits.update({key: limit.count * seconds_in[limit.period]}) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- set missing = 'Infinity' if limits else none -%}
  {{- return({'warn_after': limits.get('warn_after', missing), 'error_after': limits.get('error_after', missing)}) -}}
{% endmacro %}

{#
  After how many seconds without a refresh a model's table is warned about, and when it fails: from
  `meta.pgtrickle.freshness`, written as dbt writes it for sources. None where the model says nothing.
#}
{% macro pgtrickle_limits(node) %}
  {%- set freshness = ((node.config.get('meta') or {}).get('pgtrickle') or {}).get('freshness') or {} -%}
  {%- set seconds_in = {'second': 1, 'minute': 60, 'hour': 3600, 'day': 86400} -%}
  {%- set limits = {} -%}
  {%- for key in ['warn_after', 'error_after'] -%}
    {%- set limit = freshness.get(key) -%}
    {%- do limits.update({key: limit.count * seconds_in[limit.period] if limit else none}) -%}
  {%- endfor -%}
  {{- return(limits) -}}
{% endmacro %}

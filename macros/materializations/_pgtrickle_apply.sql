{# Carries out a change and returns what was done: ALTER (what) or RECREATE (why), in the words of _pgtrickle_change. #}
{% macro _pgtrickle_apply(target, query, settings, deployed, change, engine) %}
  {%- set recreate = change.recreate -%}
  {%- if 'query' in change.alter -%}
    {%- do recreate.extend(dbt_pgtrickle._pgtrickle_obstacles(deployed, query)) -%}
  {%- endif -%}
  {%- if 'query' in change.alter and 'query' not in engine.parameters.get('alter_stream_table', []) -%}
    {%- do recreate.append('query, which pg_trickle ' ~ engine.version ~ ' cannot alter') -%}
  {%- endif -%}
  {%- if not recreate -%}
    {%- do dbt_pgtrickle._pgtrickle_bring_in_line(target, deployed, settings, change.alter, engine) -%}
    {{- return('ALTER (' ~ change.reasons | join(', ') ~ ')') -}}
  {%- endif -%}

  {%- do dbt_pgtrickle._pgtrickle_lock_dependants(target) -%}
  {%- set dependants = dbt_pgtrickle._pgtrickle_dependants(target) -%}
  {%- do dbt_pgtrickle._pgtrickle_may_recreate(target, recreate, dependants) -%}
  {%- do dbt_pgtrickle._pgtrickle_drop(target, cascade=dependants | length > 0) -%}
  {%- do dbt_pgtrickle._pgtrickle_forget_views(target, dependants) -%}
  {%- do dbt_pgtrickle._pgtrickle_create(target, query, settings, engine) -%}
  {%- do recreate.extend(change.taken_over) -%}
  {{- return('RECREATE (' ~ recreate | join(', ') ~ ')') -}}
{% endmacro %}

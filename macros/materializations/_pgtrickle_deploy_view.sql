{#
  Brings a view to what its model says and returns what was done: CREATE, UNCHANGED, ALTER (query) or RECREATE (why). As
  with dbt's own `view`, what has to be dropped takes along what depends on it.
#}
{% macro _pgtrickle_deploy_view(target, existing, sql) %}
  {%- if existing is not none and existing.is_view and not should_full_refresh() -%}
    {%- set difference = dbt_pgtrickle._pgtrickle_view_difference(target, sql) -%}
    {%- if difference == 'none' -%}
      {{- return('UNCHANGED') -}}
    {%- endif -%}
    {%- do dbt_pgtrickle._pgtrickle_lock() -%}
    {%- if difference == 'query' -%}
      {%- call statement('_pgtrickle_deploy_view') -%}
        {{ config.get('sql_header') or '' }}
        create or replace view {{ target }} as (
          {{ sql }}
        )
      {%- endcall -%}
      {%- do dbt_pgtrickle._pgtrickle_touch_views(target) -%}
      {{- return('ALTER (query)') -}}
    {%- endif -%}
  {%- else -%}
    {%- do dbt_pgtrickle._pgtrickle_lock() -%}
  {%- endif -%}

  {%- if existing is not none -%}
    {%- do adapter.drop_relation(existing) -%}
  {%- endif -%}
  {%- call statement('_pgtrickle_deploy_view') -%}
    {{ get_create_view_as_sql(target, sql) }}
  {%- endcall -%}
  {{- return(
    'CREATE' if existing is none else 'RECREATE (' ~ ('it was a ' ~ existing.type if not existing.is_view else difference or 'full refresh') ~ ')'
  ) -}}
{% endmacro %}

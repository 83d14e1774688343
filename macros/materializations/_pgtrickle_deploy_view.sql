{#
  Brings a view to what its model says and returns what was done: CREATE, UNCHANGED, ALTER (query) or RECREATE (why). As
  with dbt's own `view`, what has to be dropped takes along what depends on it.
#}
{% macro _pgtrickle_deploy_view(target, existing, sql) %}
  {%- set difference = none -%}
  {%- if existing is not none and existing.is_view and not should_full_refresh() -%}
    {%- set difference = dbt_pgtrickle._pgtrickle_view_difference(target, sql) -%}
    {%- if difference == 'none' -%}
      {{- return('UNCHANGED') -}}
    {%- endif -%}
  {%- endif -%}

  {%- set is_v2 = dbt_pgtrickle._pgtrickle_is_v2() -%}
  {#- As in _pgtrickle_view_difference: a contract is checked outside the transaction of v2. -#}
  {%- set create = get_create_view_as_sql(target, sql) if is_v2 -%}
  {%- do dbt_pgtrickle._pgtrickle_begin_deployment() -%}
  {%- do dbt_pgtrickle._pgtrickle_lock() -%}
  {%- if difference == 'query' -%}
    {%- set replace %}
      {{ config.get('sql_header') or '' }}
      create or replace view {{ target }} as (
        {{ sql }}
      )
    {%- endset -%}
    {%- do dbt_pgtrickle._pgtrickle_ddl('_pgtrickle_deploy_view', replace) -%}
    {%- do dbt_pgtrickle._pgtrickle_touch_views(target) -%}
    {%- set done = 'ALTER (query)' -%}
  {%- else -%}
    {%- if existing is not none -%}
      {%- do adapter.drop_relation(existing) -%}
    {%- endif -%}
    {%- do dbt_pgtrickle._pgtrickle_ddl('_pgtrickle_deploy_view', create if is_v2 else get_create_view_as_sql(target, sql)) -%}
    {%- set why = difference or 'full refresh' -%}
    {%- if existing is none -%}
      {%- set done = 'CREATE' -%}
    {%- else -%}
      {%- set done = 'RECREATE (' ~ ('it was a ' ~ existing.type if not existing.is_view else why) ~ ')' -%}
    {%- endif -%}
  {%- endif -%}
  {%- do dbt_pgtrickle._pgtrickle_commit_deployment() -%}
  {{- return(done) -}}
{% endmacro %}

{#
  Carries out a change and returns what was done: ALTER (what) or RECREATE (why).

  Whether the engine can alter a query in place shows only afterwards: it builds the storage anew for a column of another
  type, without a word to what reads from it, and fills columns by position (docs/pg_trickle.md, Changing the query). The
  transaction is still open then; what may not be lost is not.
#}
{% macro pgtrickle_apply(target, query, settings, deployed, change, engine) %}
  {%- set recreate = change.recreate -%}
  {%- if 'query' in change.alter and 'query' not in engine.parameters.get('alter_stream_table', []) -%}
    {%- do recreate.append('query, which pg_trickle ' ~ engine.version ~ ' cannot alter') -%}
  {%- endif -%}

  {%- if not recreate -%}
    {%- set dependants = dbt_pgtrickle.pgtrickle_dependants(target) if 'query' in change.alter else [] -%}
    {%- set now = dbt_pgtrickle.pgtrickle_bring_in_line(target, deployed, settings, change.alter, engine) -%}
    {%- if 'query' not in change.alter -%}
      {{- return('ALTER (' ~ change.reasons | join(', ') ~ ')') -}}
    {%- elif not dbt_pgtrickle.pgtrickle_columns_fit(target, query) -%}
      {%- do recreate.append('columns') -%}
    {%- elif now.pgt_relid != deployed.pgt_relid -%}
      {%- do dbt_pgtrickle.pgtrickle_may_recreate(target, ['column types'], dependants) -%}
      {%- do dbt_pgtrickle.pgtrickle_forget_views(target, dependants) -%}
      {{- return('RECREATE (column types)') -}}
    {%- else -%}
      {{- return('ALTER (' ~ change.reasons | join(', ') ~ ')') -}}
    {%- endif -%}
  {%- else -%}
    {%- set dependants = dbt_pgtrickle.pgtrickle_dependants(target) -%}
  {%- endif -%}

  {%- do dbt_pgtrickle.pgtrickle_may_recreate(target, recreate, dependants) -%}
  {%- do dbt_pgtrickle.pgtrickle_drop_stream_table(target, cascade=dependants | length > 0) -%}
  {%- do dbt_pgtrickle.pgtrickle_forget_views(target, dependants) -%}
  {%- do dbt_pgtrickle.pgtrickle_create_stream_table(target, query, settings, engine) -%}
  {{- return('RECREATE (' ~ recreate | join(', ') ~ ')') -}}
{% endmacro %}

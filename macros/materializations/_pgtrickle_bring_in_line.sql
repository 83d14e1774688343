{#
  Alters a stream table, then looks again: a changed query or refresh mode resumes a suspended table and fills a top-k
  table with all rows, and leaving IMMEDIATE gives it a schedule of the engine's choice (docs/pg_trickle.md, Alter and
  Changing the query). What the model does not ask for is put right.
#}
{% macro _pgtrickle_bring_in_line(target, deployed, settings, changes, engine) %}
  {%- if not changes -%}
    {{- return('') -}}
  {%- endif -%}
  {%- set wanted = dict(settings) -%}
  {%- if 'status' not in wanted and deployed.status == 'SUSPENDED' -%}
    {%- do wanted.update({'status': 'SUSPENDED'}) -%}
  {%- endif -%}

  {%- if deployed.refresh_mode == 'IMMEDIATE' and 'refresh_mode' in changes -%}
    {%- do dbt_pgtrickle._pgtrickle_drop_left_buffers() -%}
  {%- endif -%}
  {%- do dbt_pgtrickle._pgtrickle_alter(target, changes, engine) -%}
  {%- set now = dbt_pgtrickle.pgtrickle_get_stream_table_info(target) -%}
  {%- if now.get('topk_limit') is not none and ('query' in changes or 'refresh_mode' in changes) and now.status == 'ACTIVE' -%}
    {%- do dbt_pgtrickle._pgtrickle_refresh(target) -%}
  {%- endif -%}
  {%- set undone = dbt_pgtrickle._pgtrickle_differing_settings(now, wanted) -%}
  {%- if undone -%}
    {%- do dbt_pgtrickle._pgtrickle_alter(target, undone, engine) -%}
  {%- endif -%}
{% endmacro %}

{#
  Alters a stream table, then looks again: a changed query or refresh mode resumes a suspended table, and leaving
  IMMEDIATE gives it a schedule of the engine's choice (docs/pg_trickle.md, Alter). What the model does not ask for is
  put back.
#}
{% macro pgtrickle_bring_in_line(target, deployed, settings, changes) %}
  {%- set wanted = dict(settings) -%}
  {%- if 'status' not in wanted and deployed.status == 'SUSPENDED' -%}
    {%- do wanted.update({'status': 'SUSPENDED'}) -%}
  {%- endif -%}
  {%- if changes -%}
    {%- do dbt_pgtrickle.pgtrickle_alter_stream_table(target, changes) -%}
    {%- set undone = dbt_pgtrickle.pgtrickle_differing_settings(dbt_pgtrickle.pgtrickle_get_stream_table(target), wanted) -%}
    {%- if undone -%}
      {%- do dbt_pgtrickle.pgtrickle_alter_stream_table(target, undone) -%}
    {%- endif -%}
  {%- endif -%}
{% endmacro %}

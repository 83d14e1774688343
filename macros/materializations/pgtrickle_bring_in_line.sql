{#
  Alters a stream table, then looks again: a changed query or refresh mode resumes a suspended table, and leaving
  IMMEDIATE gives it a schedule of the engine's choice (docs/pg_trickle.md, Alter). What the model does not ask for is
  put back. Returns the table as it is then.
#}
{% macro pgtrickle_bring_in_line(target, deployed, settings, changes, engine) %}
  {%- if not changes -%}
    {{- return(deployed) -}}
  {%- endif -%}
  {%- set wanted = dict(settings) -%}
  {%- if 'status' not in wanted and deployed.status == 'SUSPENDED' -%}
    {%- do wanted.update({'status': 'SUSPENDED'}) -%}
  {%- endif -%}
  {%- do dbt_pgtrickle.pgtrickle_alter_stream_table(target, changes, engine) -%}
  {%- set now = dbt_pgtrickle.pgtrickle_get_stream_table(target) -%}
  {%- set undone = dbt_pgtrickle.pgtrickle_differing_settings(now, wanted) -%}
  {%- if undone -%}
    {%- do dbt_pgtrickle.pgtrickle_alter_stream_table(target, undone, engine) -%}
  {%- endif -%}
  {{- return(now) -}}
{% endmacro %}

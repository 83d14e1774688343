{#
  What differs between a deployed stream table and its model:
    recreate  why the table has to be dropped and created; empty when it need not be
    alter     the arguments of the one alter_stream_table call that does it otherwise; empty when only the mark differs
    reasons   what changes, in words; empty when nothing differs
    taken_over  those of the reasons that name the earlier owner: one or none
#}
{% macro _pgtrickle_change(deployed, query, settings, mark) %}
  {%- set recreate = ['full refresh'] if should_full_refresh() else [] -%}
  {%- set alter = {} -%}
  {%- set reasons = [] -%}

  {%- if not dbt_pgtrickle._pgtrickle_same_query(deployed.query, query) -%}
    {%- do reasons.append('query') -%}
    {%- do alter.update({'query': query}) -%}
  {%- elif deployed.lost_source -%}
    {#- dbt replaces views, tables and full-refreshed seeds by new relations. The engine still looks for the old one
    and stops; after its query is set again, it finds the new one (docs/pg_trickle.md, Source DDL). -#}
    {%- do reasons.append('a source was replaced') -%}
    {%- do alter.update({'query': query}) -%}
  {%- elif deployed.get('needs_reinit') -%}
    {#- The engine would refill it when it is due, as after CREATE OR REPLACE of a view that it reads. -#}
    {%- do reasons.append('a source was changed') -%}
    {%- do alter.update({'query': query}) -%}
  {%- endif -%}

  {%- for name, value in dbt_pgtrickle._pgtrickle_settings_to_apply(deployed, settings).items() -%}
    {%- if dbt_pgtrickle._pgtrickle_known_settings()[name].changed_by == 'recreate' -%}
      {%- do recreate.append(name) -%}
    {%- else -%}
      {%- do reasons.append(name) -%}
      {%- do alter.update({name: value}) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- set made_by = deployed.mark or {} -%}
  {%- set taken_over = [] -%}
  {%- if made_by.get('dbt_project', mark.dbt_project) != mark.dbt_project -%}
    {%- do taken_over.append('taken over from the project ' ~ made_by.dbt_project) -%}
  {%- elif made_by.get('schema', mark.schema) != mark.schema -%}
    {%- do taken_over.append('taken over from the target ' ~ made_by.target ~ ', schema ' ~ made_by.schema) -%}
  {%- elif made_by != mark and not reasons -%}
    {%- do reasons.append('mark') -%}
  {%- endif -%}
  {{- return({'recreate': recreate, 'alter': alter, 'reasons': reasons + taken_over, 'taken_over': taken_over}) -}}
{% endmacro %}

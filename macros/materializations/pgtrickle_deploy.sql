{#
  Brings the stream table to what the model says and returns what was done, in the words that dbt prints behind the
  model's name: CREATE, ALTER (what), RECREATE (why) or UNCHANGED.
#}
{% macro pgtrickle_deploy(target, query, settings) %}
  {%- set deployed = dbt_pgtrickle.pgtrickle_get_stream_table(target) -%}
  {%- set mark = dbt_pgtrickle.pgtrickle_mark() -%}
  {%- if deployed is not none -%}
    {%- set change = dbt_pgtrickle.pgtrickle_change(deployed, query, settings) -%}
    {%- if not change.recreate and not change.alter and deployed.mark == mark -%}
      {{- return('UNCHANGED') -}}
    {%- endif -%}
  {%- endif -%}

  {%- do dbt_pgtrickle.pgtrickle_lock() -%}
  {%- set recreate = [] if deployed is none else change.recreate -%}
  {%- if deployed is none -%}
    {%- do dbt_pgtrickle.pgtrickle_drop_ordinary_relation(target) -%}
    {%- do dbt_pgtrickle.pgtrickle_create_stream_table(target, query, settings) -%}
    {%- set done = 'CREATE' -%}
  {%- elif not recreate -%}
    {%- do dbt_pgtrickle.pgtrickle_bring_in_line(target, deployed, settings, change.alter) -%}
    {%- set done = 'ALTER (' ~ change.reasons | join(', ') ~ ')' -%}
    {%- if 'query' in change.alter and not dbt_pgtrickle.pgtrickle_columns_fit(target, query) -%}
      {%- do recreate.append('columns') -%}
    {%- endif -%}
  {%- endif -%}
  {%- if recreate -%}
    {%- do dbt_pgtrickle.pgtrickle_drop_stream_table(target, cascade=dbt_pgtrickle.pgtrickle_may_cascade(target, recreate)) -%}
    {%- do dbt_pgtrickle.pgtrickle_create_stream_table(target, query, settings) -%}
    {%- set done = 'RECREATE (' ~ recreate | join(', ') ~ ')' -%}
  {%- endif -%}

  {#- Written anew each time: a changed query may have rebuilt the storage table, and its comments with it. -#}
  {%- do dbt_pgtrickle.pgtrickle_write_mark(target, mark) -%}
  {{- return(done) -}}
{% endmacro %}

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
  {%- set engine = dbt_pgtrickle.pgtrickle_engine() -%}
  {%- if deployed is none -%}
    {%- do dbt_pgtrickle.pgtrickle_drop_ordinary_relation(target) -%}
    {%- do dbt_pgtrickle.pgtrickle_create_stream_table(target, query, settings, engine) -%}
    {%- set done = 'CREATE' -%}
  {%- else -%}
    {%- set done = dbt_pgtrickle.pgtrickle_apply(target, query, settings, deployed, change, engine) -%}
  {%- endif -%}

  {#- Written anew each time: a changed query may have rebuilt the storage table, and its comments with it. -#}
  {%- do dbt_pgtrickle.pgtrickle_write_mark(target, mark) -%}
  {{- return(done) -}}
{% endmacro %}

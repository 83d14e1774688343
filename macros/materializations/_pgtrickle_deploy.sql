{#
  Brings the stream table to what the model says and returns what was done, in the words that dbt prints behind the
  model's name: CREATE, ALTER (what), RECREATE (why) or UNCHANGED. What and why are the words of _pgtrickle_change.

  What is current takes no lock. For anything else the lock comes first, and the server is read again behind it: another
  run may have changed the table meanwhile. Nothing before the lock may touch what the query reads, because a transaction
  that holds a lock on a source while it waits for this one can deadlock with the transaction that has it.
#}
{% macro _pgtrickle_deploy(target, query, settings) %}
  {%- set mark = dbt_pgtrickle._pgtrickle_mark() -%}
  {%- if dbt_pgtrickle._pgtrickle_is_current(dbt_pgtrickle.pgtrickle_get_stream_table_info(target), query, settings, mark) -%}
    {{- return('UNCHANGED') -}}
  {%- endif -%}

  {%- do dbt_pgtrickle._pgtrickle_begin_deployment() -%}
  {%- do dbt_pgtrickle._pgtrickle_lock() -%}
  {%- set deployed = dbt_pgtrickle.pgtrickle_get_stream_table_info(target) -%}
  {%- set engine = dbt_pgtrickle._pgtrickle_engine() -%}
  {%- if deployed is none -%}
    {%- do dbt_pgtrickle._pgtrickle_drop_ordinary_relation(target) -%}
    {%- do dbt_pgtrickle._pgtrickle_create(target, query, settings, engine) -%}
    {%- set done = 'CREATE' -%}
  {%- else -%}
    {%- set change = dbt_pgtrickle._pgtrickle_change(deployed, query, settings, mark) -%}
    {%- if not change.recreate and not change.reasons -%}
      {%- do dbt_pgtrickle._pgtrickle_commit_deployment() -%}
      {{- return('UNCHANGED') -}}
    {%- endif -%}
    {%- set done = dbt_pgtrickle._pgtrickle_apply(target, query, settings, deployed, change, engine) -%}
  {%- endif -%}

  {#- Each time: a changed query may have rebuilt the storage table, and its comments with it. -#}
  {%- do dbt_pgtrickle._pgtrickle_write_mark(target, mark) -%}
  {%- do dbt_pgtrickle._pgtrickle_commit_deployment() -%}
  {{- return(done) -}}
{% endmacro %}

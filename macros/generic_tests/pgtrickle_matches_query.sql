{#
  Fails with the rows in which the stream table and its defining query currently differ, both compared as multisets. A table
  with pending changes differs correctly, so this is for quiet sources and for IMMEDIATE tables. A role from which policies
  hide rows cannot compare.
#}
{% test pgtrickle_matches_query(model) %}
  {%- if execute -%}
    {%- set node = dbt_pgtrickle._pgtrickle_model_of(model) -%}
    {%- set relation = model if node is none else dbt_pgtrickle._pgtrickle_relation_of(node) -%}
    {%- set deployed = dbt_pgtrickle.pgtrickle_get_stream_table_info(relation) -%}
    {%- if deployed is none -%}
      select {{ dbt_pgtrickle._pgtrickle_literal(dbt_pgtrickle._pgtrickle_name(relation) ~ ' is not a stream table') }} as problem
    {%- elif deployed.policed -%}
      {%- set problem = 'not compared: policies of ' ~ deployed.policed | join(', ') ~ ' hide rows from this role; it needs bypassrls' -%}
      select {{ dbt_pgtrickle._pgtrickle_literal(problem) }} as problem
    {%- else -%}
      {{ dbt_pgtrickle._pgtrickle_rows_that_differ(relation, deployed.query) }}
    {%- endif -%}
  {%- endif -%}
{% endtest %}

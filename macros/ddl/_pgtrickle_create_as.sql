{# Creates a stream table with a function of the engine, in a transaction of its own. #}
{% macro _pgtrickle_create_as(function, name, query, settings) %}
  {%- set relation = dbt_pgtrickle._pgtrickle_relation_named(name) -%}
  {%- set begun = dbt_pgtrickle._pgtrickle_begin_own() -%}
  {%- do dbt_pgtrickle._pgtrickle_lock() -%}
  {%- do dbt_pgtrickle._pgtrickle_create(relation, dbt_pgtrickle._pgtrickle_clean_query(query), settings, function=function) -%}
  {%- do dbt_pgtrickle._pgtrickle_commit_own(begun) -%}
  {%- do dbt_pgtrickle._pgtrickle_log(
      ('created ' if function == 'create_stream_table' else 'created or replaced ') ~ dbt_pgtrickle._pgtrickle_name(relation)
  ) -%}
{% endmacro %}

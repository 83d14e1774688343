{# Alters a deployed stream table to these settings and this query, each left alone where it is none, in a transaction of its own. #}
{% macro _pgtrickle_alter_to(relation, deployed, wanted, query=none) %}
  {%- set name = dbt_pgtrickle._pgtrickle_name(relation) -%}
  {%- set changes = dbt_pgtrickle._pgtrickle_differing_settings(deployed, wanted) -%}
  {%- if query is not none and not dbt_pgtrickle._pgtrickle_same_query(deployed.query, query) -%}
    {%- set query = dbt_pgtrickle._pgtrickle_clean_query(query) -%}
    {%- set obstacles = dbt_pgtrickle._pgtrickle_obstacles(deployed, query) -%}
    {%- if obstacles -%}
      {%- do dbt_pgtrickle._pgtrickle_raise(
          'the query of ' ~ name ~ ' cannot be altered in place (' ~ obstacles | join(', ') ~ '): drop the table and create it'
      ) -%}
    {%- endif -%}
    {%- do changes.update({'query': query}) -%}
  {%- endif -%}
  {%- if not changes -%}
    {{- return('') -}}
  {%- endif -%}
  {%- set begun = dbt_pgtrickle._pgtrickle_begin_own() -%}
  {%- do dbt_pgtrickle._pgtrickle_lock() -%}
  {%- do dbt_pgtrickle._pgtrickle_bring_in_line(relation, deployed, wanted, changes, dbt_pgtrickle._pgtrickle_engine()) -%}
  {%- do dbt_pgtrickle._pgtrickle_commit_own(begun) -%}
  {%- do dbt_pgtrickle._pgtrickle_log('altered ' ~ name ~ ' (' ~ changes | join(', ') ~ ')') -%}
{% endmacro %}

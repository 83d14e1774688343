{#
  The engine drops the views on a stream table with its storage. This removes them from dbt's cache; otherwise their models,
  later in this run, would look for them.
#}
{% macro _pgtrickle_forget_views(target, dependants) %}
  {%- for name in dependants -%}
    {%- set relation = adapter.get_relation(target.database, name.split('.')[0], name.split('.')[1]) -%}
    {%- if relation is not none and relation.type in ['view', 'materialized_view'] -%}
      {%- do adapter.drop_relation(relation) -%}
    {%- endif -%}
  {%- endfor -%}
{% endmacro %}

{# The columns of a relation as dbt's own macros tell them: of itself, and of a query that takes them all. #}
{% macro column_lists(model_name) %}
  {%- if execute -%}
    {%- set relation = dbt_pgtrickle._pgtrickle_relation_named(model_name) -%}
    {%- do log('of the relation: ' ~ adapter.get_columns_in_relation(relation) | map(attribute='name') | join(', '), info=true) -%}
    {%- do log('of the query: ' ~ get_columns_in_query('select * from ' ~ relation) | join(', '), info=true) -%}
  {%- endif -%}
{% endmacro %}

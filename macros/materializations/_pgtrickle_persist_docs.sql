{#
  dbt's own persist_docs, without its filter: dbt-adapters since 1.24 leaves out what adapter.get_columns_in_relation does not
  list, and with the dispatch that lists no column of the engine's, which may be described, too.
#}
{% macro _pgtrickle_persist_docs(relation, model) %}
  {%- if config.persist_relation_docs() and model.description -%}
    {%- do run_query(alter_relation_comment(relation, model.description)) -%}
  {%- endif -%}
  {%- if config.persist_column_docs() and model.columns -%}
    {%- set comments = alter_column_comment(relation, model.columns) -%}
    {%- if comments | trim -%}
      {%- do run_query(comments) -%}
    {%- endif -%}
  {%- endif -%}
{% endmacro %}

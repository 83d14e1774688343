{#
  dbt's own persist_docs, without its filter: dbt-adapters since 1.24 leaves out what adapter.get_columns_in_relation does not
  list, and with the dispatch that lists no column of the engine's, which may be described, too.

  dbt v2 splits its own statements, which have dollar quotes, at a semicolon in a description, and sends nothing when there is
  an odd number of single quotes (docs/dbt.md): there the statements are this package's.
#}
{% macro _pgtrickle_persist_docs(relation, model) %}
  {%- set is_v2 = dbt_pgtrickle._pgtrickle_is_v2() -%}
  {%- if config.persist_relation_docs() and model.description -%}
    {%- set comment = 'comment on ' ~ relation.type ~ ' ' ~ relation ~ ' is ' ~ dbt_pgtrickle._pgtrickle_literal(model.description) -%}
    {%- do run_query(comment if is_v2 else alter_relation_comment(relation, model.description)) -%}
  {%- endif -%}
  {%- if config.persist_column_docs() and model.columns -%}
    {%- if is_v2 -%}
      {%- set names = dbt.postgres__get_columns_in_relation(relation) | map(attribute='name') | list -%}
      {%- for name, column in model.columns.items() if name in names -%}
        {%- set column_name = adapter.quote(name) if column.quote else name -%}
        {%- do run_query('comment on column ' ~ relation ~ '.' ~ column_name ~ ' is ' ~ dbt_pgtrickle._pgtrickle_literal(column.description)) -%}
      {%- endfor -%}
    {%- else -%}
      {%- set comments = alter_column_comment(relation, model.columns) -%}
      {%- if comments | trim -%}
        {%- do run_query(comments) -%}
      {%- endif -%}
    {%- endif -%}
  {%- endif -%}
{% endmacro %}

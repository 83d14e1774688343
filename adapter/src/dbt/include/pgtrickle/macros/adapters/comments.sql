{# To PostgreSQL a stream table is a table. #}
{% macro pgtrickle__alter_relation_comment(relation, comment) %}
  {{- return(dbt.postgres__alter_relation_comment(relation.incorporate(type='table') if relation.is_stream_table else relation, comment)) -}}
{% endmacro %}

{% macro pgtrickle__alter_column_comment(relation, column_dict) %}
  {{- return(dbt_pgtrickle.postgres__alter_column_comment(relation, column_dict)) -}}
{% endmacro %}

{#
  dbt's own, without the columns that the engine adds to a stream table, which a `select *` brings along: so that a
  snapshot does not compare them.
#}
{% macro postgres__get_columns_in_query(select_sql) %}
  {%- set visible = [] -%}
  {%- for name in dbt.default__get_columns_in_query(select_sql) if not name.startswith('__pgt_') -%}
    {%- do visible.append(name) -%}
  {%- endfor -%}
  {{- return(visible) -}}
{% endmacro %}

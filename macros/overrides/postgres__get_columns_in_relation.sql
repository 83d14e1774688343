{#
  dbt's own, without the columns that the engine adds to a stream table. In force only where a project dispatches dbt's
  macros to this package.
#}
{% macro postgres__get_columns_in_relation(relation) %}
  {%- set columns = dbt.postgres__get_columns_in_relation(relation) -%}
  {%- if '__pgt_row_id' in columns | map(attribute='name') and dbt_pgtrickle.pgtrickle_stream_table_exists(relation) -%}
    {{- return(dbt_pgtrickle._pgtrickle_visible(columns)) -}}
  {%- endif -%}
  {{- return(columns) -}}
{% endmacro %}

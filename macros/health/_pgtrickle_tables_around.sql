{#
  These tables for _pgtrickle_health_sql, with the project's other models that configure their tables: a table that its
  model pauses does not fail its readers.
#}
{% macro _pgtrickle_tables_around(tables) %}
  {%- set all = tables | list -%}
  {%- for table in dbt_pgtrickle._pgtrickle_tables_to_judge(dbt_pgtrickle._pgtrickle_models(), is_asked=false)
      if table.pauses or table.freezes or table.warn_after is not none or table.error_after is not none -%}
    {%- if not tables | selectattr('name', 'equalto', table.name) | selectattr('schema', 'equalto', table.schema) | list -%}
      {%- do all.append(table) -%}
    {%- endif -%}
  {%- endfor -%}
  {{- return(all) -}}
{% endmacro %}

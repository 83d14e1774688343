{#
  Runs a statement in the transaction of a deployment. On dbt v2 through _pgtrickle_execute_block, which rolls back when it
  fails; elsewhere dbt does, and an error shows the statement's own lines.
#}
{% macro _pgtrickle_ddl(statement_name, sql) %}
  {%- if dbt_pgtrickle._pgtrickle_is_v2() -%}
    {%- do dbt_pgtrickle._pgtrickle_execute_block('execute ' ~ dbt_pgtrickle._pgtrickle_literal(sql | trim) ~ ';') -%}
  {%- else -%}
    {%- call statement(statement_name, auto_begin=false) -%}
      {{ sql }}
    {%- endcall -%}
  {%- endif -%}
{% endmacro %}

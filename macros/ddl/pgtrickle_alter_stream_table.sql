{# Changes what `changes` names, a query among it, in one call. #}
{% macro pgtrickle_alter_stream_table(relation, changes) %}
  {%- set arguments = {'name': dbt_pgtrickle.pgtrickle_name(relation)} -%}
  {%- do arguments.update(changes) -%}
  {%- do dbt_pgtrickle.pgtrickle_execute(dbt_pgtrickle.pgtrickle_call('alter_stream_table', arguments)) -%}
{% endmacro %}

{# Drops a stream table. Stream tables that read from it go with it when `cascade` says so; otherwise the engine refuses. #}
{% macro _pgtrickle_drop(relation, cascade=false) %}
  {%- set arguments = {'name': dbt_pgtrickle._pgtrickle_name(relation)} -%}
  {%- if cascade -%}
    {%- do arguments.update({'cascade': true}) -%}
  {%- endif -%}
  {%- do dbt_pgtrickle._pgtrickle_execute(dbt_pgtrickle._pgtrickle_call('drop_stream_table', arguments)) -%}
{% endmacro %}

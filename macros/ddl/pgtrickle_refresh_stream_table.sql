{# Refreshes a stream table now. The engine skips it, without an error, while another refresh of it runs. #}
{% macro pgtrickle_refresh_stream_table(relation) %}
  {%- set arguments = {'name': dbt_pgtrickle.pgtrickle_name(relation)} -%}
  {%- do dbt_pgtrickle.pgtrickle_execute(dbt_pgtrickle.pgtrickle_call('refresh_stream_table', arguments)) -%}
{% endmacro %}

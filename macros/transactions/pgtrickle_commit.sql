{# Commits what pgtrickle_begin began: for the server first, then in dbt's books. #}
{% macro pgtrickle_commit() %}
  {%- call statement('pgtrickle_commit', auto_begin=True) -%}commit{%- endcall -%}
  {%- do adapter.commit() -%}
{% endmacro %}

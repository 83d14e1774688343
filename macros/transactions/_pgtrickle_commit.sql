{# Commits what _pgtrickle_begin began: for the server first, then in dbt's books. #}
{% macro _pgtrickle_commit() %}
  {%- call statement('_pgtrickle_commit', auto_begin=True) -%}commit{%- endcall -%}
  {%- do adapter.commit() -%}
{% endmacro %}

{# Commits what _pgtrickle_begin began: on the server first, then in dbt's books. #}
{% macro _pgtrickle_commit() %}
  {%- if not dbt_pgtrickle._pgtrickle_is_v2() -%}
    {%- call statement('_pgtrickle_commit', auto_begin=True) -%}commit{%- endcall -%}
    {%- do adapter.commit() -%}
  {%- endif -%}
{% endmacro %}

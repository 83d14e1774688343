{# Commits what _pgtrickle_begin_own began, if it did. #}
{% macro _pgtrickle_commit_own(begun) %}
  {%- if begun -%}
    {%- call statement('_pgtrickle_commit', auto_begin=false) -%}commit{%- endcall -%}
  {%- endif -%}
{% endmacro %}

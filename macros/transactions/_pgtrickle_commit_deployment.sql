{# Commits what _pgtrickle_begin_deployment began. #}
{% macro _pgtrickle_commit_deployment() %}
  {%- if dbt_pgtrickle._pgtrickle_is_v2() -%}
    {%- call statement('_pgtrickle_commit', auto_begin=false) -%}commit{%- endcall -%}
  {%- endif -%}
{% endmacro %}

{#
  dbt run-operation pgtrickle_drain [--args '{timeout_s: 60}']

  Waits until no refresh is under way, and answers whether none is after the time; false while dbt parses or compiles. As an
  operation it fails when one still is.
#}
{% macro pgtrickle_drain(timeout_s=60) %}
  {%- if dbt_pgtrickle._pgtrickle_only_renders() -%}
    {{- return(false) -}}
  {%- endif -%}
  {%- set drained = dbt_pgtrickle._pgtrickle_first_column('select pgtrickle.drain(' ~ timeout_s | int ~ ')')[0] -%}
  {%- set message = 'no refresh is under way' if drained else 'refreshes were still under way after ' ~ timeout_s ~ ' s' -%}
  {%- if not drained and dbt_pgtrickle._pgtrickle_is_operation('pgtrickle_drain') -%}
    {%- do dbt_pgtrickle._pgtrickle_raise(message) -%}
  {%- endif -%}
  {%- do dbt_pgtrickle._pgtrickle_log(message) -%}
  {{- return(drained) -}}
{% endmacro %}

{#
  dbt run-operation pgtrickle_drain [--args '{timeout_seconds: 60}']

  Waits until no refresh is under way; fails when one still is after the time.
#}
{% macro pgtrickle_drain(timeout_seconds=60) %}
  {%- if execute -%}
    {%- set drained = dbt_pgtrickle.pgtrickle_first_column('select pgtrickle.drain(' ~ timeout_seconds | int ~ ')')[0] -%}
    {%- if not drained -%}
      {%- do exceptions.raise_compiler_error('refreshes were still under way after ' ~ timeout_seconds ~ ' s') -%}
    {%- endif -%}
    {%- do log('no refresh is under way', info=true) -%}
  {%- endif -%}
{% endmacro %}

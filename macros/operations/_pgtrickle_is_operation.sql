{#
  Whether `dbt run-operation NAME` is what runs: the answer is the exit code then. A macro that calls NAME reads what it returns.
  dbt v2 gives the name only as a word of the command line.
#}
{% macro _pgtrickle_is_operation(name) %}
  {%- set called = [invocation_args_dict.get('macro')] -%}
  {%- if dbt_pgtrickle._pgtrickle_is_v2() -%}
    {%- set called = (invocation_args_dict.get('invocation_command') or '').split() -%}
  {%- endif -%}
  {{- return(flags.WHICH == 'run-operation' and (name in called or 'dbt_pgtrickle.' ~ name in called)) -}}
{% endmacro %}

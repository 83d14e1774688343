{# Whether `dbt run-operation NAME` is what runs: the answer is the exit code then. A macro that calls NAME reads what it returns. #}
{% macro _pgtrickle_is_operation(name) %}
  {{- return(flags.WHICH == 'run-operation' and invocation_args_dict.get('macro') in [name, 'dbt_pgtrickle.' ~ name]) -}}
{% endmacro %}

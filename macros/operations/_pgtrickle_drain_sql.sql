{#
  A query that drains the scheduler. Where a drain lasts until the scheduler is resumed, it does that, too, in the same
  statement, so that nothing can come between; refused before anything happens when the role may not.
#}
{% macro _pgtrickle_drain_sql(timeout_s) %}
  {%- if 'resume_after_drain' not in dbt_pgtrickle._pgtrickle_engine().parameters -%}
    {{- return('select pgtrickle.drain(' ~ timeout_s | int ~ ')') -}}
  {%- endif -%}
  {%- set may %}
    select
      pg_catalog.has_function_privilege('pgtrickle.drain(integer)', 'execute')
        and pg_catalog.has_function_privilege('pgtrickle.resume_after_drain()', 'execute')
  {%- endset -%}
  {%- if not dbt_pgtrickle._pgtrickle_first_column(may)[0] -%}
    {%- do dbt_pgtrickle._pgtrickle_raise(
        'nothing was drained: all refreshes would stop until they are resumed, and this role may not do both. Grant it:'
        ~ ' grant execute on function pgtrickle.drain, pgtrickle.resume_after_drain'
    ) -%}
  {%- endif -%}
  {{- return(
      'select drained, pgtrickle.resume_after_drain() from (select pgtrickle.drain(' ~ timeout_s | int ~ ') as drained offset 0) as done'
  ) -}}
{% endmacro %}

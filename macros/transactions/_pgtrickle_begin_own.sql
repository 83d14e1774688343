{#
  Begins a transaction for a call from outside the materializations, and returns whether it did: _pgtrickle_commit_own takes
  the answer. In the transaction of a model, as in its hooks, it does not: what the call does is part of the model and is
  committed with it. Everywhere else (an operation, an on-run hook, a hook with `transaction: false`) nothing else commits.

  `auto_begin=false`, here and in all that such a call sends, leaves dbt's own count of transactions as it is: the code that calls
  may be within one, and dbt commits what it believes open.
#}
{% macro _pgtrickle_begin_own() %}
  {%- if model is defined and model.resource_type != 'operation' -%}
    {#- A local setting outlives its statement only in a transaction. -#}
    {%- do run_query("select pg_catalog.set_config('dbt_pgtrickle.within', 'yes', true)") -%}
    {%- if dbt_pgtrickle._pgtrickle_first_column("select pg_catalog.current_setting('dbt_pgtrickle.within', true)")[0] == 'yes' -%}
      {{- return(false) -}}
    {%- endif -%}
  {%- endif -%}
  {%- call statement('_pgtrickle_begin', auto_begin=false) -%}begin{%- endcall -%}
  {{- return(true) -}}
{% endmacro %}

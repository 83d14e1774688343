{#
  On dbt v2, begins a transaction for the statements of this package alone, right before the lock. Between it and
  _pgtrickle_commit_deployment runs nothing of the user's, every refusal is raised by _pgtrickle_raise, and statements that may
  fail are run by _pgtrickle_execute_block or _pgtrickle_ddl: they roll back before they raise.

  What another model has left open on the connection is rolled back first. If anything else fails, the server ends the
  session after a minute, so that no other model waits for its locks for ever.
#}
{% macro _pgtrickle_begin_deployment() %}
  {%- if dbt_pgtrickle._pgtrickle_is_v2() -%}
    {%- do dbt_pgtrickle._pgtrickle_rollback() -%}
    {%- call statement('_pgtrickle_begin', auto_begin=false) -%}begin{%- endcall -%}
    {%- call statement('_pgtrickle_begin', auto_begin=false) -%}set local idle_in_transaction_session_timeout = '1min'{%- endcall -%}
  {%- endif -%}
{% endmacro %}

{#
  Refreshes a stream table like pgtrickle_refresh_stream_table, and returns the server's message when that fails; none when
  it does not. dbt cannot go on after a statement that fails.
#}
{% macro _pgtrickle_try_refresh(relation) %}
  {%- set body %}
begin
  perform pg_catalog.set_config('dbt_pgtrickle.failure', '', true);
  {{ dbt_pgtrickle._pgtrickle_without_policies(dbt_pgtrickle._pgtrickle_refresh_statements(relation)) }}
exception when others then
  perform pg_catalog.set_config('dbt_pgtrickle.failure', sqlstate || ': ' || sqlerrm, true);
end
  {%- endset -%}
  {%- set begun = dbt_pgtrickle._pgtrickle_begin_own() -%}
  {%- call statement('_pgtrickle_try_refresh', auto_begin=false) -%}
    do {{ dbt_pgtrickle._pgtrickle_literal(body) }}
  {%- endcall -%}
  {%- call statement('_pgtrickle_failure', fetch_result=true, auto_begin=false) -%}
    select nullif(pg_catalog.current_setting('dbt_pgtrickle.failure', true), '')
  {%- endcall -%}
  {%- set failure = load_result('_pgtrickle_failure').data[0][0] -%}
  {%- do dbt_pgtrickle._pgtrickle_commit_own(begun) -%}
  {{- return(failure) -}}
{% endmacro %}

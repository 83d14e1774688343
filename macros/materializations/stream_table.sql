{#
  A model kept as a stream table of pg_trickle: _pgtrickle_deploy brings the server to what the model says, with the
  least that does it; everything around it is what dbt's own `table` does, in one transaction that is begun and
  committed by hand (see _pgtrickle_begin for why).
#}
{% materialization stream_table, adapter='postgres' %}
  {%- set existing = load_cached_relation(this) -%}
  {%- do dbt_pgtrickle._pgtrickle_assert_whole_sources() -%}
  {%- set target = dbt_pgtrickle._pgtrickle_target_relation(model) -%}
  {%- set query = dbt_pgtrickle._pgtrickle_clean_query(sql) -%}
  {%- set settings = dbt_pgtrickle._pgtrickle_settings(model) -%}
  {%- set contract = config.get('contract') -%}

  {% do run_hooks(pre_hooks, inside_transaction=False) %}
  {% do dbt_pgtrickle._pgtrickle_begin() %}
  {% do run_hooks(pre_hooks, inside_transaction=True) %}

  {% if contract and contract.enforced %}
    {% do dbt_pgtrickle._pgtrickle_assert_contract(query) %}
  {% endif %}
  {% set done = dbt_pgtrickle._pgtrickle_deploy(target, query, settings) %}
  {% do dbt_pgtrickle._pgtrickle_report_done(target, done) %}
  {# `main` is what dbt reports as the model's result. The work is done already, through _pgtrickle_execute. #}
  {% call noop_statement('main', done) %}{{ query }}{% endcall %}

  {% do run_hooks(post_hooks, inside_transaction=True) %}
  {% do apply_grants(target, config.get('grants'), should_revoke(existing, full_refresh_mode=should_full_refresh())) %}
  {% do dbt_pgtrickle._pgtrickle_persist_docs(target, model) %}
  {% do dbt_pgtrickle._pgtrickle_commit() %}
  {% do run_hooks(post_hooks, inside_transaction=False) %}

  {{ return({'relations': [target]}) }}
{% endmaterialization %}

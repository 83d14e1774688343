{#
  A view that is made as dbt's own `view` makes it, and left alone while it is what its model says. dbt's own is a new view
  at every run, and each stream table that reads it is filled again then; one that reads a stable_view is not. What dbt
  reports behind the model's name is what was done: CREATE, UNCHANGED, ALTER (query) or RECREATE (why).
#}
{% materialization stable_view, adapter='postgres' %}
  {%- set existing = load_cached_relation(this) -%}
  {%- do dbt_pgtrickle._pgtrickle_assert_whole_sources() -%}
  {%- set target = this.incorporate(type='view') -%}

  {% do run_hooks(pre_hooks, inside_transaction=False) %}
  {% do dbt_pgtrickle._pgtrickle_begin() %}
  {% do run_hooks(pre_hooks, inside_transaction=True) %}

  {% set done = dbt_pgtrickle._pgtrickle_deploy_view(target, existing, sql) %}
  {% do dbt_pgtrickle._pgtrickle_report_done(target, done) %}
  {# `main` is what dbt reports as the model's result. #}
  {% call noop_statement('main', done) %}{{ sql }}{% endcall %}

  {% set is_new = done == 'CREATE' or done.startswith('RECREATE') %}
  {% do apply_grants(target, config.get('grants'), should_revoke(existing, full_refresh_mode=is_new)) %}
  {% if dbt_pgtrickle._pgtrickle_is_v2() %}
    {% do dbt_pgtrickle._pgtrickle_persist_docs(target, model) %}
  {% else %}
    {% do persist_docs(target, model) %}
  {% endif %}
  {% do run_hooks(post_hooks, inside_transaction=True) %}
  {% do dbt_pgtrickle._pgtrickle_commit() %}
  {% do run_hooks(post_hooks, inside_transaction=False) %}

  {{ return({'relations': [target]}) }}
{% endmaterialization %}

{#
  Refuses a run whose `ref` and `source` give a part of the rows: dbt has written that into the query, and the server would
  keep it.
#}
{% macro _pgtrickle_assert_whole_sources() %}
  {%- for option in ['empty', 'sample'] if invocation_args_dict.get(option) -%}
    {%- do dbt_pgtrickle._pgtrickle_raise(
        model.unique_id ~ ': a ' ~ model.config.materialized ~ ' cannot be built with --' ~ option
        ~ ', because it would keep the reduced query: leave it out with `--exclude config.materialized:'
        ~ model.config.materialized ~ '`'
    ) -%}
  {%- endfor -%}
{% endmacro %}

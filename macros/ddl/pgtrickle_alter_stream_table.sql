{#
  Alters what is given and differs from the deployed stream table, and commits, or joins the transaction of the model whose
  hook calls it. What is none, or left out, stays as it is. `current_info` is what pgtrickle_get_stream_table_info returned, for callers who
  have asked already. When there is no such table, nothing is altered, which the log says.
#}
{% macro pgtrickle_alter_stream_table(
    name, schedule=none, refresh_mode=none, status=none, current_info=none, query=none, cdc_mode=none, fuse=none, fuse_ceiling=none,
    fuse_sensitivity=none, append_only=none, max_differential_joins=none, max_delta_fraction=none
) %}
  {%- if not dbt_pgtrickle._pgtrickle_only_renders() -%}
    {%- set relation = dbt_pgtrickle._pgtrickle_relation_named(name) -%}
    {%- set deployed = current_info or dbt_pgtrickle.pgtrickle_get_stream_table_info(relation) -%}
    {%- set wanted = dbt_pgtrickle._pgtrickle_engine_settings({
        'schedule': schedule, 'refresh_mode': refresh_mode, 'status': status, 'cdc_mode': cdc_mode, 'fuse': fuse,
        'fuse_ceiling': fuse_ceiling, 'fuse_sensitivity': fuse_sensitivity, 'append_only': append_only,
        'max_differential_joins': max_differential_joins, 'max_delta_fraction': max_delta_fraction,
      }) -%}
    {%- if deployed is none -%}
      {%- do dbt_pgtrickle._pgtrickle_log('nothing to alter: there is no stream table ' ~ dbt_pgtrickle._pgtrickle_name(relation)) -%}
    {%- else -%}
      {%- do dbt_pgtrickle._pgtrickle_alter_to(relation, deployed, wanted, query) -%}
    {%- endif -%}
  {%- endif -%}
{% endmacro %}

{#
  The engine's own create-or-replace, committed as by pgtrickle_create_stream_table: creates the stream table, alters it to
  what is given, or leaves it alone. What is not given goes back to the engine's default. Nothing looks whether the columns of a
  changed query fit the table in place; the materialization does.
#}
{% macro pgtrickle_create_or_replace_stream_table(
    name, query, schedule=none, refresh_mode=none, initialize=none, cdc_mode=none, partition_by=none, append_only=false, temporal=false,
    storage_backend=none, diamond_consistency=none, diamond_schedule_policy=none, pooler_compatibility_mode=false,
    max_differential_joins=none, max_delta_fraction=none, output_distribution_column=none
) %}
  {%- if not dbt_pgtrickle._pgtrickle_only_renders() -%}
    {%- do dbt_pgtrickle._pgtrickle_create_as('create_or_replace_stream_table', name, query, {
        'schedule': schedule, 'refresh_mode': refresh_mode, 'initialize': initialize, 'cdc_mode': cdc_mode,
        'partition_by': partition_by, 'append_only': append_only or none, 'temporal': temporal,
        'storage_backend': storage_backend, 'diamond_consistency': diamond_consistency,
        'diamond_schedule_policy': diamond_schedule_policy, 'pooler_compatibility_mode': pooler_compatibility_mode or none,
        'max_differential_joins': max_differential_joins, 'max_delta_fraction': max_delta_fraction,
        'output_distribution_column': output_distribution_column,
      }) -%}
  {%- endif -%}
{% endmacro %}

{#
  Creates a stream table and commits, or joins the transaction of the model whose hook calls it. For tables that are no
  models: a model is kept by its materialization. What is none, or left out, is the engine's default.
#}
{% macro pgtrickle_create_stream_table(
    name, query, schedule=none, refresh_mode=none, initialize=none, cdc_mode=none, partition_by=none, append_only=false, temporal=false,
    storage_backend=none, diamond_consistency=none, diamond_schedule_policy=none, pooler_compatibility_mode=false,
    max_differential_joins=none, max_delta_fraction=none, output_distribution_column=none
) %}
  {%- if not dbt_pgtrickle._pgtrickle_only_renders() -%}
    {%- do dbt_pgtrickle._pgtrickle_create_as('create_stream_table', name, query, {
        'schedule': schedule, 'refresh_mode': refresh_mode, 'initialize': initialize, 'cdc_mode': cdc_mode,
        'partition_by': partition_by, 'append_only': append_only or none, 'temporal': temporal,
        'storage_backend': storage_backend, 'diamond_consistency': diamond_consistency,
        'diamond_schedule_policy': diamond_schedule_policy, 'pooler_compatibility_mode': pooler_compatibility_mode or none,
        'max_differential_joins': max_differential_joins, 'max_delta_fraction': max_delta_fraction,
        'output_distribution_column': output_distribution_column,
      }) -%}
  {%- endif -%}
{% endmacro %}

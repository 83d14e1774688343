{#
  Every setting of a stream table, in one place: what it may be, where the catalog keeps it and how it is changed.

    type        text | boolean | number
    values      the words that are allowed; any when absent
    column      its column in pgtrickle.pgt_stream_tables; without one it cannot be compared
    default     what a model without it gets
    nullable    null is a value of its own, and what a model without it gets where there is no default
                A setting with neither is left as it is when a model does not name it.
    set_by      create (default) | alter: which of the two functions takes it when the table is new
    changed_by  alter (default) | recreate | nothing
#}
{% macro pgtrickle_known_settings() %}
  {{- return({
    'schedule': {'type': 'text', 'column': 'schedule', 'default': '1m', 'nullable': true},
    'refresh_mode': {'type': 'text', 'column': 'refresh_mode', 'default': 'DIFFERENTIAL', 'values': ['DIFFERENTIAL', 'FULL', 'AUTO', 'IMMEDIATE']},
    'initialize': {'type': 'boolean', 'changed_by': 'nothing'},
    'status': {'type': 'text', 'column': 'status', 'set_by': 'alter', 'values': ['ACTIVE', 'SUSPENDED', 'PAUSED']},
    'cdc_mode': {'type': 'text', 'column': 'requested_cdc_mode', 'values': ['auto', 'trigger', 'wal']},
    'partition_by': {'type': 'text', 'column': 'st_partition_key', 'nullable': true, 'changed_by': 'recreate'},
    'fuse': {'type': 'text', 'column': 'fuse_mode', 'set_by': 'alter', 'values': ['off', 'on', 'auto']},
    'fuse_ceiling': {'type': 'number', 'column': 'fuse_ceiling', 'set_by': 'alter'},
    'fuse_sensitivity': {'type': 'number', 'column': 'fuse_sensitivity', 'set_by': 'alter'},
    'append_only': {'type': 'boolean', 'column': 'is_append_only'},
    'temporal': {'type': 'boolean', 'column': 'temporal_mode', 'default': false, 'changed_by': 'recreate'},
    'storage_backend': {'type': 'text', 'column': 'storage_backend', 'default': 'heap', 'changed_by': 'recreate'},
    'diamond_consistency': {'type': 'text', 'column': 'diamond_consistency', 'values': ['none', 'atomic']},
    'diamond_schedule_policy': {'type': 'text', 'column': 'diamond_schedule_policy', 'values': ['fastest', 'slowest']},
    'pooler_compatibility_mode': {'type': 'boolean', 'column': 'pooler_compatibility_mode'},
    'max_differential_joins': {'type': 'number', 'column': 'max_differential_joins'},
    'max_delta_fraction': {'type': 'number', 'column': 'max_delta_fraction'},
    'output_distribution_column': {'type': 'text', 'changed_by': 'nothing'},
    'tier': {'type': 'text', 'column': 'refresh_tier', 'set_by': 'alter', 'values': ['hot', 'warm', 'cold', 'frozen']},
  }) -}}
{% endmacro %}

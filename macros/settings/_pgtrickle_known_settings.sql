{#
  Every setting of a stream table, in one place: what it may be, where the catalog keeps it, how it is changed and what
  it is for. docs/settings.md's table is made of it.

    type        text | boolean | integer | number
    values      the words that are allowed; any when absent
    column      its column in pgtrickle.pgt_stream_tables; without one it cannot be compared
    default     what a model without it gets
    nullable    null is a value of its own, and what a model without it gets where there is no default
                A setting with neither is left as it is when a model does not name it.
    set_by      create (default) | alter: which of the two functions takes it when the table is new
    changed_by  alter (default) | recreate | nothing
    since       the first version of pg_trickle that has it; without it every supported version does
    replace_since  the first version whose create_or_replace_stream_table takes it, where that is a later one
    without     what a server without it does
    about       what it is for, in Markdown, without single quotes
#}
{% macro _pgtrickle_known_settings() %}
  {{- return({
    'schedule': {
      'type': 'text', 'column': 'schedule', 'default': '1m', 'nullable': true,
      'about': 'How often it is refreshed: a duration (`30s`, `1h30m`), a cron expression, or `calculated` for whenever a source has changed',
    },
    'refresh_mode': {
      'type': 'text', 'column': 'refresh_mode', 'default': 'DIFFERENTIAL', 'values': ['DIFFERENTIAL', 'FULL', 'AUTO', 'IMMEDIATE'],
      'about': '`DIFFERENTIAL` works out what changed, `FULL` runs the query again, `IMMEDIATE` follows each write inside its transaction and has no schedule, `AUTO` leaves the choice to pg_trickle',
    },
    'initialize': {
      'type': 'boolean', 'changed_by': 'nothing',
      'about': 'With `false` the table is created empty, and nothing fills it until it is refreshed by hand; `run` does that',
    },
    'status': {
      'type': 'text', 'column': 'status', 'set_by': 'alter', 'values': ['ACTIVE', 'SUSPENDED', 'PAUSED'],
      'about': '`SUSPENDED` stops its refreshes; `PAUSED` is another word for it',
    },
    'cdc_mode': {
      'type': 'text', 'column': 'requested_cdc_mode', 'values': ['auto', 'trigger', 'wal'],
      'about': 'How changes of its sources are captured',
    },
    'partition_by': {
      'type': 'text', 'column': 'st_partition_key', 'nullable': true, 'changed_by': 'recreate',
      'about': '`column`, `LIST:column` or `HASH:column:n`',
    },
    'fuse': {
      'type': 'text', 'column': 'fuse_mode', 'set_by': 'alter', 'values': ['off', 'on', 'auto'],
      'about': 'Suspends the table when too many changes are pending at once',
    },
    'fuse_ceiling': {
      'type': 'integer', 'column': 'fuse_ceiling', 'set_by': 'alter',
      'about': 'How many changes are too many; an update counts twice',
    },
    'fuse_sensitivity': {
      'type': 'integer', 'column': 'fuse_sensitivity', 'set_by': 'alter',
      'about': 'How much more than usual is too much; pg_trickle 0.67.0 does not look at it',
    },
    'append_only': {
      'type': 'boolean', 'column': 'is_append_only',
      'about': 'Its sources only ever get new rows',
    },
    'temporal': {
      'type': 'boolean', 'column': 'temporal_mode', 'default': false, 'changed_by': 'recreate', 'replace_since': '0.46',
      'about': 'Keeps former versions of its rows',
    },
    'storage_backend': {
      'type': 'text', 'column': 'storage_backend', 'default': 'heap', 'changed_by': 'recreate', 'replace_since': '0.46',
      'about': 'Where its rows are kept: `heap`, or `citus` for its columnar storage, which only FULL refreshes can fill',
    },
    'diamond_consistency': {
      'type': 'text', 'column': 'diamond_consistency', 'values': ['none', 'atomic'],
      'about': 'Whether tables that share a source and meet again downstream are refreshed together',
    },
    'diamond_schedule_policy': {
      'type': 'text', 'column': 'diamond_schedule_policy', 'values': ['fastest', 'slowest'],
      'about': 'Whose schedule counts when they are',
    },
    'pooler_compatibility_mode': {
      'type': 'boolean', 'column': 'pooler_compatibility_mode',
      'about': 'For servers behind a pooler in transaction mode',
    },
    'max_differential_joins': {
      'type': 'integer', 'column': 'max_differential_joins',
      'about': 'A query that joins more tables is refreshed in full',
    },
    'max_delta_fraction': {
      'type': 'number', 'column': 'max_delta_fraction',
      'about': 'When more than this part of its rows changed, it is refreshed in full',
    },
    'output_distribution_column': {
      'type': 'text', 'changed_by': 'nothing',
      'about': 'With Citus: the column by which its rows are distributed; creating such a table fails, so `plan` refuses it',
    },
    'tier': {
      'type': 'text', 'column': 'refresh_tier', 'set_by': 'alter', 'values': ['hot', 'warm', 'cold', 'frozen'],
      'about': 'Stretches the schedule: `warm` by 2, `cold` by 10; `frozen` is never refreshed',
    },
    'post_refresh_action': {
      'type': 'text', 'column': 'post_refresh_action', 'set_by': 'alter', 'values': ['none', 'analyze', 'reindex', 'reindex_if_drift'],
      'since': '0.47', 'without': 'none',
      'about': 'What follows a refresh',
    },
    'reindex_drift_threshold': {
      'type': 'number', 'column': 'reindex_drift_threshold', 'set_by': 'alter', 'since': '0.47',
      'about': 'With `reindex_if_drift`: which part of the rows has to have changed',
    },
    'fillfactor': {
      'type': 'integer', 'column': 'storage_fillfactor', 'changed_by': 'recreate', 'since': '0.73',
      'about': 'How full the pages of its storage are made, in percent (pg_trickle 0.73 and later)',
    },
    'target_freshness': {
      'type': 'text', 'column': 'target_freshness_mode', 'since': '0.86',
      'about': 'How far it may be behind: a duration, for which the server needs `track_commit_timestamp`, `ON_COMMIT` or `MANUAL` (pg_trickle 0.86 and later). Another duration is no difference: the catalog has its kind only',
    },
    'orchestration_mode': {
      'type': 'text', 'column': 'orchestration_mode', 'values': ['MANAGED', 'EXTERNAL'], 'since': '0.93', 'without': 'MANAGED',
      'about': '`EXTERNAL` leaves its refreshes to an external orchestrator (pg_trickle 0.93 and later)',
    },
  }) -}}
{% endmacro %}

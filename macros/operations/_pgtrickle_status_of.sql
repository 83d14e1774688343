{# What pgtrickle_stream_table_status answers: a state, with what the engine's view and its switches say. #}
{% macro _pgtrickle_status_of(status, row=none, server={}) %}
  {%- set row = row or {} -%}
  {{- return({
    'status': status,
    'staleness_seconds': row['staleness_seconds'] if row else none,
    'consecutive_errors': row['consecutive_errors'] if row else 0,
    'last_refresh_at': row['last_refresh_at'] if row else none,
    'total_refreshes': row['total_refreshes'] if row else 0,
    'is_populated': row['is_populated'] if row else false,
    'refresh_mode': row['refresh_mode'] if row else none,
    'cdc_paused': server.get('cdc_paused', false),
    'force_full': server.get('force_full', false),
    'is_drained': server.get('is_drained', false),
  }) -}}
{% endmacro %}

{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {
        'schedule': '5m',
        'refresh_mode': 'FULL',
        'freshness': {'warn_after': {'count': 10, 'period': 'minute'}, 'error_after': {'count': 30, 'period': 'minute'}},
    }},
) }}
select
  status,
  min(amount) as smallest,
  max(amount) as largest
from {{ ref('raw_orders') }}
group by status

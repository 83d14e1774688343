{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '1h', 'stream_table_name': 'renamed', 'stream_table_schema': 'coverage_named'}},
) }}
select
  customer_id,
  count(*) as orders,
  sum(amount) as total
from {{ source('shop', 'orders') }}
group by customer_id

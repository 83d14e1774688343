{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '1h', 'diamond_consistency': 'atomic', 'diamond_schedule_policy': 'slowest'}},
) }}
select
  customer_id,
  count(*) as orders,
  sum(amount) as total
from {{ source('shop', 'orders') }}
group by customer_id

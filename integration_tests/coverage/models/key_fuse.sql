{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '1h', 'fuse': true, 'fuse_ceiling': 100000, 'fuse_sensitivity': 3}},
) }}
select
  customer_id,
  count(*) as orders,
  sum(amount) as total
from {{ source('shop', 'orders') }}
group by customer_id

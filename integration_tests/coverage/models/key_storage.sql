{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '1h', 'temporal': false, 'storage_backend': 'heap', 'pooler_compatibility_mode': true}},
) }}
select
  customer_id,
  count(*) as orders,
  sum(amount) as total
from {{ source('shop', 'orders') }}
group by customer_id

{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '3600s'}},
) }}
select
  customer_id,
  count(*) as orders,
  sum(amount) as total
from {{ source('shop', 'orders') }}
group by customer_id

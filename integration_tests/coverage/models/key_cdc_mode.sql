{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '1h', 'cdc_mode': 'trigger'}},
) }}
select
  customer_id,
  count(*) as orders,
  sum(amount) as total
from {{ source('shop', 'orders') }}
group by customer_id

{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '1m', 'refresh_mode': 'DIFFERENTIAL'}},
) }}
select
  customer_id,
  count(*) as orders,
  sum(amount) as total
from {{ ref('raw_orders') }}
group by customer_id

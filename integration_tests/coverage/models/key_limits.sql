{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '1h', 'max_differential_joins': 4, 'max_delta_fraction': 0.5}},
) }}
select
  customer_id,
  count(*) as orders,
  sum(amount) as total
from {{ source('shop', 'orders') }}
group by customer_id

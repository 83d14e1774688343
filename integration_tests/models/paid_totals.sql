{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '1m'}},
) }}
-- A stream table on top of a view.
select
  customer_id,
  sum(amount) as paid
from {{ ref('paid_orders') }}
group by customer_id

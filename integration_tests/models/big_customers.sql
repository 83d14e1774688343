{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '1m'}},
) }}
-- A stream table on top of a stream table.
select
  customer_id,
  total
from {{ ref('order_totals') }}
where total >= 200

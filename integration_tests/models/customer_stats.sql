{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '2m'}},
) }}
select
  c.customer_id,
  c.name,
  c.region,
  count(o.order_id) as orders,
  sum(o.amount) as spent
from {{ ref('raw_customers') }} as c
join {{ ref('raw_orders') }} as o on o.customer_id = c.customer_id
where o.status <> 'cancelled'
group by c.customer_id, c.name, c.region

{% set expected %}
  select c.customer_id, c.name, c.region, count(*) as orders, sum(o.amount) as spent
  from {{ ref('raw_orders') }} as o
  join {{ ref('raw_customers') }} as c using (customer_id)
  where o.status <> 'cancelled'
  group by c.customer_id, c.name, c.region
{% endset %}
{{ dbt_pgtrickle._pgtrickle_rows_that_differ(ref('customer_stats'), expected) }}

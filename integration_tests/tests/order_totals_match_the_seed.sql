{% set expected %}
  select customer_id, count(*) as orders, sum(amount) as total
  from {{ ref('raw_orders') }}
  group by customer_id
{% endset %}
{{ dbt_pgtrickle._pgtrickle_rows_that_differ(ref('order_totals'), expected) }}

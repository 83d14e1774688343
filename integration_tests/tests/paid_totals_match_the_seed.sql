{% set expected %}
  select customer_id, sum(amount) as paid
  from {{ ref('raw_orders') }}
  where status = 'paid'
  group by customer_id
{% endset %}
{{ dbt_pgtrickle._pgtrickle_rows_that_differ(ref('paid_totals'), expected) }}

{% set expected %}
  select customer_id, sum(amount) as total
  from {{ ref('raw_orders') }}
  group by customer_id
  having sum(amount) >= 200
{% endset %}
{{ dbt_pgtrickle._pgtrickle_rows_that_differ(ref('big_customers'), expected) }}

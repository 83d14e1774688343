{% set expected %}
  select status, min(amount) as smallest, max(amount) as largest
  from {{ ref('raw_orders') }}
  group by status
{% endset %}
{{ dbt_pgtrickle._pgtrickle_rows_that_differ(ref('order_extremes'), expected) }}

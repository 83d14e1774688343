{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '1h'}},
) }}
select customer_id, total from {{ ref('view_of_base') }} where total > 5

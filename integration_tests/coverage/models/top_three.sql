{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '1h'}},
) }}
select id, amount from {{ source('shop', 'orders') }} order by amount desc limit 3

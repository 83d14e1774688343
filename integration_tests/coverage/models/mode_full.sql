{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '1h', 'refresh_mode': 'FULL'}},
) }}
select min(amount) as smallest, max(amount) as largest from {{ source('shop', 'orders') }}

{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '1h'}},
) }}
select id, amount from {{ source('shop', 'orders') }} where amount > 0; -- all of them, it's said

{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': none}},
) }}
select id, customer_id from {{ source('shop', 'visits') }}

{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '1h', 'append_only': true}},
) }}
select id, customer_id from {{ source('shop', 'visits') }}

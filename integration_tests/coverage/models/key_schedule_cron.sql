{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '@daily'}},
) }}
select id, customer_id from {{ source('shop', 'visits') }}

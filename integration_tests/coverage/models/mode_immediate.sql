{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'refresh_mode': 'IMMEDIATE'}},
) }}
select id, name from {{ source('shop', 'customers') }}

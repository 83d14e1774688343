{{ config(
    materialized='stream_table',
    meta={'pgtrickle': {'schedule': '1h', 'partition_by': 'LIST:status'}},
) }}
select status, count(*) as orders from {{ source('shop', 'orders') }} group by status

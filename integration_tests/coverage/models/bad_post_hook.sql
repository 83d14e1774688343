{{ config(
    materialized='stream_table',
    pre_hook=[{'sql': "select 1", 'transaction': false}],
    post_hook=[{'sql': "select 1 / 0", 'transaction': true}],
    meta={'pgtrickle': {'schedule': '1h'}},
) }}
select id, amount from {{ source('shop', 'orders') }}

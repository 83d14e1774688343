{{ config(
    materialized='stream_table',
    persist_docs={'relation': true, 'columns': true},
    grants={'select': ['pg_monitor']},
    contract={'enforced': true},
    pre_hook=[{'sql': "insert into shop.hooks values ('before, outside')", 'transaction': false}, {'sql': "insert into shop.hooks values ('before, inside')", 'transaction': true}],
    post_hook=[{'sql': "insert into shop.hooks select 'after, inside, ' || count(*) from {{ this }}", 'transaction': true}, {'sql': "insert into shop.hooks values ('after, outside')", 'transaction': false}],
    meta={'pgtrickle': {'schedule': '1h'}},
) }}
select id, name from {{ source('shop', 'customers') }}

{{ config(materialized='view') }}
select customer_id, total from {{ ref('base') }}

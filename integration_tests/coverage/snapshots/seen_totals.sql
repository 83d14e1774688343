{% snapshot seen_totals %}
{{ config(target_schema='coverage', unique_key='customer_id', strategy='check', check_cols='all') }}
select * from {{ ref('mode_differential') }}
{% endsnapshot %}

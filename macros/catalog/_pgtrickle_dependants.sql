{#
  `schema.name` of everything that reads from a stream table and would go with it or fail without it, directly or through
  others: stream tables, views and materialized views.
#}
{% macro _pgtrickle_dependants(relation) %}
  {%- set sql %}
    {{ dbt_pgtrickle._pgtrickle_dependants_cte(relation) }}
    select n.nspname || '.' || c.relname
    from dependant
    join pg_catalog.pg_class as c on c.oid = dependant.relid
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    order by 1
  {%- endset -%}
  {{- return(dbt_pgtrickle._pgtrickle_first_column(sql) | list) -}}
{% endmacro %}

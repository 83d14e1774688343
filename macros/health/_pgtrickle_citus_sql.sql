{#
  An expression for what Citus made of a table, as `is distributed by Citus`; null for any other table, and without Citus. The
  triggers of pg_trickle do not work there (docs/pg_trickle.md, Citus).
#}
{% macro _pgtrickle_citus_sql(relid) %}
  {%- if not dbt_pgtrickle._pgtrickle_engine().has_citus -%}
    {{- return('null::text') -}}
  {%- endif -%}
  {%- set sql -%}
    (
      select case
        when p.partmethod <> 'n' or p.repmodel <> 't' and p.colocationid > 0 then 'is distributed by Citus'
        when p.repmodel = 't' then 'is a reference table of Citus'
      end
      from pg_catalog.pg_dist_partition as p
      where p.logicalrelid = {{ relid }}
    )
  {%- endset -%}
  {{- return(sql) -}}
{% endmacro %}

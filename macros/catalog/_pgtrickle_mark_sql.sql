{#
  SQL for the mark of the stream table with the alias `alias`, as jsonb {dbt_project, unique_id, target, schema}; null when
  there is none. Earlier versions wrote it as the comment of the column __pgt_row_id, which is also where a user's comment
  may be; and without the target. It names a target by its name and its schema, or not at all. `pgtrickle-ci` reads the
  same (src/pg/sql/stream_tables.sql).
#}
{% macro _pgtrickle_mark_sql(alias) -%}
(
          select
            jsonb_build_object('dbt_project', place.mark -> 'dbt_project', 'unique_id', place.mark -> 'unique_id')
            || case
              when jsonb_typeof(place.mark -> 'target') = 'string' and jsonb_typeof(place.mark -> 'schema') = 'string'
                then jsonb_build_object('target', place.mark -> 'target', 'schema', place.mark -> 'schema')
              else '{}'
            end
          from (
            select 1 as nth, {{ dbt_pgtrickle._pgtrickle_mark_in("pg_catalog.obj_description(t.oid, 'pg_trigger')") }} as mark
            from pg_catalog.pg_trigger as t
            where t.tgrelid = {{ alias }}.pgt_relid and t.tgname = 'pgt_dml_guard'
            union all
            select 2, {{ dbt_pgtrickle._pgtrickle_mark_in('pg_catalog.col_description(a.attrelid, a.attnum)') }}
            from pg_catalog.pg_attribute as a
            where a.attrelid = {{ alias }}.pgt_relid and a.attname = '__pgt_row_id'
          ) as place
          where place.mark is not null
          order by place.nth
          limit 1
        )
{%- endmacro %}

{#
  SQL for the mark of the stream table that `alias` stands for, as jsonb; null when there is none. Earlier versions wrote
  it as the comment of the column __pgt_row_id, which is also where a user's comment may be.
#}
{% macro _pgtrickle_mark_sql(alias) -%}
(
          select place.comment::jsonb
          from (
            select 1 as nth, pg_catalog.obj_description(t.oid, 'pg_trigger') as comment
            from pg_catalog.pg_trigger as t
            where t.tgrelid = {{ alias }}.pgt_relid and t.tgname = 'pgt_dml_guard'
            union all
            select 2, pg_catalog.col_description(a.attrelid, a.attnum)
            from pg_catalog.pg_attribute as a
            where a.attrelid = {{ alias }}.pgt_relid and a.attname = '__pgt_row_id'
          ) as place
          where case when place.comment is json object then place.comment::jsonb ->> 'dbt_project' is not null end
          order by place.nth
          limit 1
        )
{%- endmacro %}

{# SQL for the mark of the stream table that `alias` stands for; null when there is none. #}
{% macro pgtrickle_mark_sql(alias) -%}
(
          select pg_catalog.col_description(a.attrelid, a.attnum)
          from pg_catalog.pg_attribute as a
          where a.attrelid = {{ alias }}.pgt_relid and a.attname = '__pgt_row_id'
        )
{%- endmacro %}

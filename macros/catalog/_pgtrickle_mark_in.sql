{#
  SQL for the mark in a comment, as jsonb; null when it is another comment. A user's comment may be anything, also JSON that jsonb
  does not take.
#}
{% macro _pgtrickle_mark_in(comment) -%}
(
              select case
                when pg_catalog.pg_input_is_valid(c.comment, 'jsonb') then case
                  when jsonb_typeof(c.comment::jsonb -> 'dbt_project') = 'string' and jsonb_typeof(c.comment::jsonb -> 'unique_id') = 'string'
                    then c.comment::jsonb
                end
              end
              from (select {{ comment }}) as c (comment)
            )
{%- endmacro %}

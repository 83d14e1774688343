{#
  SQL for the rows of which a stream table and a query do not have the same number: none when both give the same. The
  engine's own columns are left out; the order of columns does not matter.
#}
{% macro _pgtrickle_rows_that_differ(relation, query) %}
  {%- set columns = [] -%}
  {%- for column in adapter.get_columns_in_relation(relation) if not column.name.startswith('__pgt_') -%}
    {%- do columns.append(adapter.quote(column.name)) -%}
  {%- endfor -%}
  {%- set columns = columns | join(', ') -%}
with actual as (
  select {{ columns }} from {{ relation }}
),

expected as (
  select {{ columns }} from (
{{ query }}
  ) as query
)

select 'too many' as problem, surplus.*
from (select * from actual except all select * from expected) as surplus
union all
select 'missing' as problem, lacking.*
from (select * from expected except all select * from actual) as lacking
{% endmacro %}

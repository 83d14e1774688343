{#
  Leaves on the stream table who made it, so that whoever drops what no model asks for any more can tell ours from
  others'. It is the comment of the column that the engine adds: no model describes that one, so persist_docs never
  writes there.
#}
{% macro pgtrickle_write_mark(relation, mark) %}
  {%- call statement('pgtrickle_write_mark') -%}
    comment on column {{ relation }}.__pgt_row_id is {{ dbt_pgtrickle.pgtrickle_literal(mark) }}
  {%- endcall -%}
{% endmacro %}

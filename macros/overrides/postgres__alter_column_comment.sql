{#
  dbt's own, for the columns that the engine adds to a stream table, too: dbt asks postgres__get_columns_in_relation which
  columns there are, and with the dispatch that leaves them out.
#}
{% macro postgres__alter_column_comment(relation, column_dict) %}
  {%- set names = dbt.postgres__get_columns_in_relation(relation) | map(attribute='name') | list -%}
  {%- for name in column_dict if name in names %}
    comment on column {{ relation }}.{{ adapter.quote(name) if column_dict[name]['quote'] else name }} is {{ dbt_pgtrickle._pgtrickle_literal(column_dict[name]['description']) }};
  {%- endfor -%}
{% endmacro %}

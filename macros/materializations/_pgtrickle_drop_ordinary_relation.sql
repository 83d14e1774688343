{#
  Makes room where the model was a table or a view before. PostgreSQL refuses, and lists what depends on the relation,
  because this drop does not cascade; dbt's own does.
#}
{% macro _pgtrickle_drop_ordinary_relation(target) %}
  {%- set existing = adapter.get_relation(target.database, target.schema, target.identifier) -%}
  {%- if existing is not none -%}
    {%- call statement('_pgtrickle_drop_ordinary_relation') -%}
      drop {{ existing.type | replace('_', ' ') }} if exists {{ existing }}
    {%- endcall -%}
    {#- The relation is already dropped: this updates dbt's cache. -#}
    {%- do adapter.drop_relation(existing) -%}
  {%- endif -%}
{% endmacro %}

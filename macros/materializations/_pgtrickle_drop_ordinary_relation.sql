{#
  Makes room where the model was a table or a view before. PostgreSQL refuses, and lists what depends on the relation,
  because this drop does not cascade; dbt's own does.
#}
{% macro _pgtrickle_drop_ordinary_relation(target) %}
  {%- set existing = adapter.get_relation(target.database, target.schema, target.identifier) -%}
  {%- if existing is not none -%}
    {%- set kind = existing.type | string | replace('_', ' ') -%}
    {%- do dbt_pgtrickle._pgtrickle_ddl('_pgtrickle_drop_ordinary_relation', 'drop ' ~ kind ~ ' if exists ' ~ existing) -%}
    {#- The relation is already dropped: this updates dbt's cache. -#}
    {%- do adapter.drop_relation(existing) -%}
  {%- endif -%}
{% endmacro %}

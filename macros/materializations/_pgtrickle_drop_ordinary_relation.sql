{#
  Makes room where the model was a table or a view before. PostgreSQL refuses, and lists what depends on the relation,
  because this drop does not cascade; dbt's own does.
#}
{% macro _pgtrickle_drop_ordinary_relation(target) %}
  {%- set existing = adapter.get_relation(target.database, target.schema, target.identifier) -%}
  {%- if existing is not none -%}
    {#- The adapter's cache can have a stream table that the engine dropped with one that it read. -#}
    {%- set kind = 'table' if existing.type == 'stream_table' else existing.type | string | replace('_', ' ') -%}
    {%- do dbt_pgtrickle._pgtrickle_ddl('_pgtrickle_drop_ordinary_relation', 'drop ' ~ kind ~ ' if exists ' ~ existing) -%}
    {#- The relation is already dropped: this updates dbt's cache. -#}
    {%- do adapter.drop_relation(existing) -%}
  {%- endif -%}
{% endmacro %}

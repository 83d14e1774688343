{#
  dbt's own, which takes a stream table for no table, and fails because its name is taken. As a table of other columns, it is
  dropped with `--full-refresh` only.
#}
{% macro pgtrickle__create_csv_table(model, agate_table) %}
  {%- set existing = load_cached_relation(this) -%}
  {%- if existing is not none and existing.is_stream_table -%}
    {%- if not should_full_refresh() -%}
      {%- do exceptions.raise_compiler_error(
          'cannot seed ' ~ existing ~ ', because it is a stream table; `dbt seed --full-refresh` drops it'
      ) -%}
    {%- endif -%}
    {%- do adapter.drop_relation(existing) -%}
  {%- endif -%}
  {{- return(dbt.default__create_csv_table(model, agate_table)) -}}
{% endmacro %}

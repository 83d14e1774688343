{#
  dbt's own. An incremental model that was a stream table before is built from scratch, as one that was a view is: there is
  nothing to which rows can be added. dbt asks again when the stream table is gone, to create the indexes.
#}
{% macro should_full_refresh() %}
  {%- if execute and model is defined and model.config.materialized == 'incremental' -%}
    {%- if 'was_stream_table' not in model -%}
      {%- set existing = load_cached_relation(this) -%}
      {%- do model.update({'was_stream_table': existing is not none and existing.is_stream_table}) -%}
    {%- endif -%}
    {%- if model.was_stream_table -%}
      {{- return(true) -}}
    {%- endif -%}
  {%- endif -%}
  {%- set configured = config.get('full_refresh') -%}
  {{- return(flags.FULL_REFRESH if configured is none else configured) -}}
{% endmacro %}

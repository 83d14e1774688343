{# An expression for the quoted name of the schema with the change buffers, which is a setting of the server. #}
{% macro _pgtrickle_buffer_schema() -%}
pg_catalog.quote_ident(coalesce(nullif(pg_catalog.current_setting('pg_trickle.change_buffer_schema', true), ''), 'pgtrickle_changes'))
{%- endmacro %}

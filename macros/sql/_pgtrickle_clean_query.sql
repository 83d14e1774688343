{#
  The model's query as the engine accepts it: without the semicolons and comments at its end, which are common in models.
  The engine rejects a semicolon, and a comment without a line break after it (docs/pg_trickle.md, Query text).
#}
{% macro _pgtrickle_clean_query(sql) %}
  {%- set read = dbt_pgtrickle._pgtrickle_query_parts(sql) -%}
  {%- if not read.clear -%}
    {{- return(sql | trim ~ '\n') -}}
  {%- endif -%}
  {%- set kept = namespace(length=0) -%}
  {%- for part in read.parts -%}
    {%- if part | trim and part[:2] not in ['--', '/*'] and part != ';' -%}
      {%- set kept.length = loop.index -%}
    {%- endif -%}
  {%- endfor -%}
  {{- return(read.parts[:kept.length] | join | trim) -}}
{% endmacro %}

{#
  What counts of a query: its parts without blanks, comments, the case of unquoted words and semicolons at the end. So two
  layouts of one query are one query, as they are to `pgtrickle-ci plan`. A text that is not clear counts to the letter.
#}
{% macro _pgtrickle_query_tokens(query) %}
  {%- set read = dbt_pgtrickle._pgtrickle_query_parts(query) -%}
  {%- set tokens = [] -%}
  {%- set kept = namespace(length=0) -%}
  {%- for part in read.parts if part | trim and part[:2] not in ['--', '/*'] -%}
    {%- if modules.re.match('[A-Za-z0-9_$]+$', part) -%}
      {%- do tokens.append(part | lower) -%}
    {%- elif part[1:2] == "'" -%}
      {#- The letter before a literal, as in E'…'. -#}
      {%- do tokens.append(part[0] | lower ~ part[1:]) -%}
    {%- else -%}
      {%- do tokens.append(part) -%}
    {%- endif -%}
    {%- if part != ';' -%}
      {%- set kept.length = tokens | length -%}
    {%- endif -%}
  {%- endfor -%}
  {{- return(tokens[:kept.length] if read.clear else [query | trim]) -}}
{% endmacro %}

{#
  A query's text in parts: blanks, comments, literals, names, operators, as PostgreSQL reads them. Joined, they are the
  text again. `clear` is false where it cannot be told for certain what is a comment: one that is nested more than three
  deep, a dollar quote with a dollar inside, a quote that does not end.
#}
{% macro _pgtrickle_query_parts(query) %}
  {%- set block = namespace(comment='/\\*(?:[^*/]|\\*(?!/)|/(?!\\*))*\\*/') -%}
  {%- for depth in range(2) -%}
    {%- set block.comment = '/\\*(?:[^*/]|\\*(?!/)|/(?!\\*)|' ~ block.comment ~ ')*\\*/' -%}
  {%- endfor -%}
  {#- The first that matches wins. No groups: dbt v2 would return those instead. -#}
  {%- set patterns = [
    '\\s+', '--[^\\n]*', block.comment, '/\\*',
    "[eE]'(?:[^'\\\\]|\\\\[\\s\\S]|'')*'", "[bBxXnN]?'(?:[^']|'')*'", '"(?:[^"]|"")*"',
    '\\$(?:[^\\W\\d]\\w*)?\\$[^$]*\\$(?:[^\\W\\d]\\w*)?\\$',
    '\\w[\\w$]*',
    '(?:-(?!-)|/(?!\\*)|[+*<>=~!@#%^&|`?:])+',
    '\\S',
  ] -%}

  {%- set parts = modules.re.findall(patterns | join('|'), query) -%}
  {%- set unclear = [] -%}
  {%- for part in parts if part in ['/*', "'", '"', '$'] or (part[0] == '$' and part.split('$')[1] != part.split('$')[-2]) -%}
    {%- do unclear.append(part) -%}
  {%- endfor -%}
  {{- return({'parts': parts, 'clear': not unclear}) -}}
{% endmacro %}

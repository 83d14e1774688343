{#
  The model's query as the engine takes it. A semicolon at the end and a comment without a line break after it are
  refused by the engine, and are common in models (docs/pg_trickle.md, Query text).

  What is cut is blanks, semicolons and `--` comments, from the end, as long as they hold no quote, dollar or asterisk:
  so it cannot be the inside of a literal or of a block comment, whose end would have to follow. A comment with one of
  these in it stays, and gets its line break.
#}
{% macro pgtrickle_clean_query(sql) %}
  {%- set query = modules.re.sub("(?:\\s|;|--[^\\n'\"$*]*(?:\\n|$))+$", '', sql) | trim -%}
  {{- return(query ~ '\n' if '--' in query.split('\n')[-1] else query) -}}
{% endmacro %}

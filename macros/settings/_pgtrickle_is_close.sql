{#
  Whether a key is probably another one, misspelled: one edit away from a word of up to five letters, at most two from a longer
  one. `pgtrickle-ci` counts in the same way (`strsim::levenshtein`).
#}
{% macro _pgtrickle_is_close(key, known) %}
  {%- set edits = 1 if known | length < 6 else 2 -%}
  {%- if (key | length - known | length) | abs > edits -%}
    {{- return(false) -}}
  {%- endif -%}
  {%- set before = namespace(row=range(known | length + 1) | list) -%}
  {%- for letter in key -%}
    {%- set row = [loop.index] -%}
    {%- for other in known -%}
      {%- do row.append([row[-1] + 1, before.row[loop.index] + 1, before.row[loop.index0] + (0 if letter == other else 1)] | min) -%}
    {%- endfor -%}
    {%- set before.row = row -%}
  {%- endfor -%}
  {{- return(before.row[-1] <= edits) -}}
{% endmacro %}

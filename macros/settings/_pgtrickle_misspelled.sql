{#
  Sentences about keys of a model's config that are close to one of this package's. They may belong to another package, so they are no
  error; below `meta.pgtrickle` any unknown key is one.
#}
{% macro _pgtrickle_misspelled(node) %}
  {%- set sentences = [] -%}
  {%- for key in node.get('unrendered_config') or {} if key not in dbt_pgtrickle._pgtrickle_known_keys() -%}
    {%- for known in dbt_pgtrickle._pgtrickle_known_keys() if dbt_pgtrickle._pgtrickle_is_close(key, known) -%}
      {%- do sentences.append('`' ~ key ~ '` is not a pgtrickle key: did you mean `' ~ known ~ '`?') -%}
    {%- endfor -%}
  {%- endfor -%}
  {{- return(sentences) -}}
{% endmacro %}

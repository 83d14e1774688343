{# The relation of a model's stream table. A name that the engine does not support is an error before the first change. #}
{% macro _pgtrickle_target_relation(node) %}
  {%- set relation = dbt_pgtrickle._pgtrickle_relation_of(node) -%}
  {#- docs/pg_trickle.md, Names: cut at the first dot, never quoted. -#}
  {%- for name in [relation.schema, relation.identifier] if not modules.re.match('[a-z_][a-z0-9_]*$', name) -%}
    {%- do dbt_pgtrickle._pgtrickle_raise(
        node.unique_id ~ ': pg_trickle cannot hold a stream table named `' ~ relation.schema ~ '.' ~ relation.identifier
        ~ '`: `' ~ name ~ '` has to be lower-case letters, digits and underscores'
    ) -%}
  {%- endfor -%}
  {{- return(relation) -}}
{% endmacro %}

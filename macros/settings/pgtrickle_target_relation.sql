{# The relation that a model's stream table is. A name that the engine cannot hold is refused before anything is executed. #}
{% macro pgtrickle_target_relation(node) %}
  {%- set configured = dbt_pgtrickle.pgtrickle_configured(node) -%}
  {%- set relation = api.Relation.create(
      database=node.database,
      schema=configured.get('stream_table_schema') or node.schema,
      identifier=configured.get('stream_table_name') or node.alias,
      type='table'
  ) -%}
  {#- docs/pg_trickle.md, Names: cut at the first dot, never quoted. -#}
  {%- for name in [relation.schema, relation.identifier] if not modules.re.match('[a-z_][a-z0-9_]*$', name) -%}
    {%- do exceptions.raise_compiler_error(
        node.unique_id ~ ': pg_trickle cannot hold a stream table named `' ~ relation.schema ~ '.' ~ relation.identifier
        ~ '`: `' ~ name ~ '` has to be lower-case letters, digits and underscores'
    ) -%}
  {%- endfor -%}
  {{- return(relation) -}}
{% endmacro %}

{#
  The relation of a name, wherever a macro of this package takes one: `schema.table`; a stream table model, by
  its name, its alias or its table's name; otherwise a table in `schema`, or in the target's. A relation is returned as it is.
  Whether the table is there is another question.
#}
{% macro _pgtrickle_relation_named(name, schema=none) %}
  {%- if name is not string -%}
    {{- return(name) -}}
  {%- endif -%}
  {%- set node = dbt_pgtrickle._pgtrickle_model_named(name) if schema is none and '.' not in name else none -%}
  {%- if node is not none -%}
    {{- return(dbt_pgtrickle._pgtrickle_relation_of(node)) -}}
  {%- endif -%}
  {%- set parts = name.split('.', 1) if '.' in name else [schema or target.schema, name] -%}
  {{- return(api.Relation.create(database=target.dbname, schema=parts[0], identifier=parts[1], type='table')) -}}
{% endmacro %}

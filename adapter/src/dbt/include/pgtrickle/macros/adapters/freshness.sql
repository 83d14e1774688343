{% macro pgtrickle__collect_freshness(source, loaded_at_field, filter) %}
  {{- return(dbt_pgtrickle.postgres__collect_freshness(source, loaded_at_field, filter)) -}}
{% endmacro %}

{#
  A row for each relation that is a stream table and has an age, in one query. The others have none, and dbt asks for them
  one by one, where each gets an error of its own.
#}
{% macro pgtrickle__get_relation_last_modified(information_schema, relations) %}
  {%- call statement('last_modified', fetch_result=True) -%}
    select source.schema, source.identifier, source.last_modified, clock_timestamp() as snapshotted_at
    from (
      {%- for relation in relations if not adapter.pgtrickle_obstacle() %}
      select
        {{ dbt_pgtrickle._pgtrickle_literal(relation.schema) }} as schema,
        {{ dbt_pgtrickle._pgtrickle_literal(relation.identifier) }} as identifier,
        ({{ dbt_pgtrickle.loaded_at(relation) }}) as last_modified
      union all
      {%- endfor %}
      select null, null, null::timestamptz
    ) as source (schema, identifier, last_modified)
    where source.last_modified is not null
  {%- endcall -%}
  {{- return(load_result('last_modified')) -}}
{% endmacro %}

{# What pg_trickle says of a stream table, as a sentence. #}
{% macro pgtrickle_health_detail(relation) %}
  {%- set health = dbt_pgtrickle._pgtrickle_health_sql([{'schema': relation.schema, 'name': relation.identifier}]) -%}
  {{- return(dbt_pgtrickle._pgtrickle_first_column('select detail from (' ~ health ~ ') as health')[0]) -}}
{% endmacro %}

{#
  SQL for the time as of which a stream table holds what its sources hold, for `dbt source freshness`:

    config:
      loaded_at_query: "{{ dbt_pgtrickle.loaded_at(this) }}"

  It is the last refresh, whether that changed anything or not. A table without a schedule of its own is refreshed when
  there is something to do, so it is as of now unless a stream table that it reads has changed since. Null, which dbt takes
  for an error, when there is no such stream table, and where it is an error whatever its age (docs/checks.md).
#}
{% macro loaded_at(relation) -%}
select (
  select as_of
  from ({{ dbt_pgtrickle._pgtrickle_health_sql([{'schema': relation.schema, 'name': relation.identifier}]) }}) as health
) as loaded_at
{%- endmacro %}

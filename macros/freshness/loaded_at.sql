{#
  SQL for the time as of which a stream table holds what its sources hold, for `dbt source freshness`:

    config:
      loaded_at_query: "{{ dbt_pgtrickle.loaded_at(this) }}"

  It is the last refresh, whether that changed anything or not. A table without a schedule of its own is refreshed when
  there is something to do, so while it is ACTIVE it is as of now. Null, which dbt takes for an error, when there is no
  such stream table or it was never refreshed.
#}
{% macro loaded_at(relation) -%}
select (
  select case when st.schedule is null and st.status = 'ACTIVE' and st.is_populated then now() else st.last_refresh_at end
  from pgtrickle.pgt_stream_tables as st
  where st.pgt_schema = {{ dbt_pgtrickle.pgtrickle_literal(relation.schema) }}
    and st.pgt_name = {{ dbt_pgtrickle.pgtrickle_literal(relation.identifier) }}
) as loaded_at
{%- endmacro %}

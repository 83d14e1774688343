{#
  dbt's own, unless a source's `loaded_at_field` is the word `pgtrickle_refreshed_at`: then the engine is asked when the
  stream table was refreshed. From dbt 1.10 on, `loaded_at_query` with loaded_at does it without dispatch.
#}
{% macro postgres__collect_freshness(source, loaded_at_field, filter) %}
  {%- if loaded_at_field != 'pgtrickle_refreshed_at' -%}
    {{- return(dbt.default__collect_freshness(source, loaded_at_field, filter)) -}}
  {%- endif -%}
  {%- call statement('collect_freshness', fetch_result=true, auto_begin=false) -%}
    select ({{ dbt_pgtrickle.loaded_at(source) }}) as max_loaded_at, {{ current_timestamp() }} as snapshotted_at
  {%- endcall -%}
  {{- return(load_result('collect_freshness')) -}}
{% endmacro %}

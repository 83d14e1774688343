{#
  dbt run-operation pgtrickle_stream_table_status --args '{name: order_totals}'

  The health of one stream table, as a mapping:

    status              healthy | stale | erroring | paused | populating | frozen | gated | not_found
    staleness_seconds   since the last refresh; none when there was none, and where the engine has no such age
    consecutive_errors, last_refresh_at, total_refreshes, is_populated, refresh_mode
    cdc_paused, force_full, is_drained
                        of the whole server

  An unknown name is `not_found`. `warn_seconds` is the age from which the table is stale, instead of its own limit. As an
  operation it fails like pgtrickle_status. While dbt parses, and in a hook that it only compiles, nothing is looked up, and the answer is that of a healthy table: a
  guard that raises does not stop the parsing.
#}
{% macro pgtrickle_stream_table_status(name, warn_seconds=none) %}
  {%- if dbt_pgtrickle._pgtrickle_only_renders(in_hook=true) -%}
    {{- return(dbt_pgtrickle._pgtrickle_status_of('healthy')) -}}
  {%- endif -%}
  {#- None is not the whole project here, but a name that no table has. -#}
  {%- set name = '' if name is none else name -%}
  {%- set health = dbt_pgtrickle._pgtrickle_health_rows(name, warn_seconds) -%}
  {%- if dbt_pgtrickle._pgtrickle_is_operation('pgtrickle_stream_table_status') -%}
    {%- do dbt_pgtrickle._pgtrickle_report('status', health) -%}
  {%- endif -%}
  {%- set relation = dbt_pgtrickle._pgtrickle_relation_named(name) -%}
  {%- set sql %}
    select extract(epoch from staleness)::int as staleness_seconds, consecutive_errors, last_refresh_at, total_refreshes,
      is_populated, refresh_mode
    from pgtrickle.pg_stat_stream_tables
    where pgt_schema = {{ dbt_pgtrickle._pgtrickle_literal(relation.schema) }}
      and pgt_name = {{ dbt_pgtrickle._pgtrickle_literal(relation.identifier) }}
  {%- endset -%}
  {%- set row = run_query(sql).rows | first -%}
  {%- set server = dbt_pgtrickle._pgtrickle_switches() -%}
  {#- While capture is paused for the whole server, no table follows its sources. -#}
  {%- set state = health[0]['state'] -%}
  {%- set status = 'paused' if server.cdc_paused and state in ['healthy', 'stale', 'frozen'] else state -%}
  {{- return(dbt_pgtrickle._pgtrickle_status_of(status, row, server)) -}}
{% endmacro %}

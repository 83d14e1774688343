{#
  One change of stream tables at a time in a database, until the transaction ends: two that meet on a source which
  nothing has read from before race for its change buffer (docs/pg_trickle.md, Concurrent creates). `shared` only keeps
  changes away: sessions that only read what changes lock do not wait for each other.
#}
{% macro _pgtrickle_lock(shared=false) %}
  {%- set lock = "pg_catalog.pg_advisory_xact_lock" ~ ('_shared' if shared else '') ~ "(pg_catalog.hashtextextended('pgtrickle ddl', 0))" -%}
  {%- do dbt_pgtrickle._pgtrickle_execute(lock) -%}
{% endmacro %}

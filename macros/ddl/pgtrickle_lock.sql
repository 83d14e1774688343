{#
  One change of stream tables at a time in a database, until the transaction ends: two that meet on a source which
  nothing has read from before race for its change buffer (docs/pg_trickle.md, Concurrent creates).
#}
{% macro pgtrickle_lock() %}
  {%- call statement('pgtrickle_lock') -%}
    select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('pgtrickle ddl', 0))
  {%- endcall -%}
{% endmacro %}

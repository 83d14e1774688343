{#
  Every key that may stand below `meta.pgtrickle`: the settings of the table, what it is called, whether it may be dropped
  and created, and what tests and checks read.
#}
{% macro _pgtrickle_known_keys() %}
  {{- return(
    dbt_pgtrickle._pgtrickle_known_settings().keys() | list
    + ['stream_table_name', 'stream_table_schema', 'on_recreate', 'freshness', 'verify']
  ) -}}
{% endmacro %}

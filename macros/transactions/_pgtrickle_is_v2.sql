{#
  Whether this is dbt v2. It gives a connection back without a rollback when a model fails: what the model had begun stays
  open, with its locks, and the next model on the connection fails in it or commits it (docs/dbt.md).
#}
{% macro _pgtrickle_is_v2() %}
  {{- return(dbt_version.split('.')[0] | int >= 2) -}}
{% endmacro %}

{#
  dbt's own, but for stream tables, which the engine drops. It refuses when other stream tables read from the table; dbt's
  `cascade` would take the storage away from under them.
#}
{% macro pgtrickle__get_drop_sql(relation) %}
  {%- if relation.is_stream_table -%}
    select {{ pgtrickle_drop_call(relation) }}
  {%- else -%}
    {{ dbt.default__get_drop_sql(relation) }}
  {%- endif -%}
{% endmacro %}

{# As PostgreSQL's `drop table if exists`: dbt drops what it renamed before, and that was dropped then. #}
{% macro pgtrickle__drop_relation(relation) %}
  {%- if not relation.is_stream_table -%}
    {%- do dbt.default__drop_relation(relation) -%}
  {%- elif dbt_pgtrickle.pgtrickle_stream_table_exists(relation) -%}
    {%- do dbt_pgtrickle._pgtrickle_execute(pgtrickle_drop_call(relation)) -%}
  {%- endif -%}
{% endmacro %}

{% macro pgtrickle_drop_call(relation) %}
  {{- return(dbt_pgtrickle._pgtrickle_call('drop_stream_table', {'name': dbt_pgtrickle._pgtrickle_name(relation)})) -}}
{% endmacro %}

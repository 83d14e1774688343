{# What _pgtrickle_health_sql takes, for the project's models or for one stream table by its name, a model's or not. #}
{% macro _pgtrickle_tables_named(name=none, warn_after=none, error_after=none) %}
  {%- if name is none -%}
    {{- return(dbt_pgtrickle._pgtrickle_tables_to_judge(dbt_pgtrickle._pgtrickle_models(), warn_after, error_after)) -}}
  {%- endif -%}
  {%- set relation = dbt_pgtrickle._pgtrickle_relation_named(name) -%}
  {%- for node in dbt_pgtrickle._pgtrickle_models() if dbt_pgtrickle._pgtrickle_relation_of(node) == relation -%}
    {{- return(dbt_pgtrickle._pgtrickle_tables_to_judge([node], warn_after, error_after)) -}}
  {%- endfor -%}
  {{- return([{'schema': relation.schema, 'name': relation.identifier, 'warn_after': warn_after, 'error_after': error_after}]) -}}
{% endmacro %}

{# What pgtrickle_health_sql takes, for some of the project's models; limits that are given win over the models' own. #}
{% macro pgtrickle_tables_to_judge(nodes, warn_after=none, error_after=none) %}
  {%- set tables = [] -%}
  {%- for node in nodes -%}
    {%- set relation = dbt_pgtrickle.pgtrickle_relation_of(node) -%}
    {%- set limits = dbt_pgtrickle.pgtrickle_limits(node) -%}
    {%- do tables.append({
        'schema': relation.schema,
        'name': relation.identifier,
        'warn_after': warn_after if warn_after is not none else limits.warn_after,
        'error_after': error_after if error_after is not none else limits.error_after,
    }) -%}
  {%- endfor -%}
  {{- return(tables) -}}
{% endmacro %}

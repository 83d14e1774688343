{#
  What _pgtrickle_health_sql takes, for some of the project's models: to be judged, or with `is_asked=false` only known for
  what reads them. A limit that is given wins over the model's own.
#}
{% macro _pgtrickle_tables_to_judge(nodes, warn_after=none, error_after=none, is_asked=true) %}
  {%- set tables = [] -%}
  {%- for node in nodes -%}
    {%- set relation = dbt_pgtrickle._pgtrickle_relation_of(node) -%}
    {%- set limits = dbt_pgtrickle._pgtrickle_limits(node) -%}
    {%- set configured = dbt_pgtrickle._pgtrickle_configured(node) -%}
    {%- do tables.append({
        'schema': relation.schema,
        'name': relation.identifier,
        'warn_after': warn_after if warn_after is not none else limits.warn_after,
        'error_after': error_after if error_after is not none else limits.error_after,
        'pauses': (configured.get('status') or '') | string | upper in ['SUSPENDED', 'PAUSED'],
        'freezes': (configured.get('tier') or '') | string | lower == 'frozen',
        'is_asked': is_asked,
    }) -%}
  {%- endfor -%}
  {{- return(tables) -}}
{% endmacro %}

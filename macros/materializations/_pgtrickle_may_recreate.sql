{#
  Refuses to drop and create a stream table when that would lose something: what reads from it, unless this very run
  brings it back; what no run brings back; and anything at all, when `on_recreate` is `fail` without `--full-refresh`.
#}
{% macro _pgtrickle_may_recreate(target, reasons, dependants) %}
  {%- set why = model.unique_id ~ ' has to be dropped and created (' ~ reasons | join(', ') ~ ')' -%}
  {%- if dbt_pgtrickle._pgtrickle_configured(model).get('on_recreate') == 'fail' and not should_full_refresh() -%}
    {%- do dbt_pgtrickle._pgtrickle_raise(
        why ~ ', and on_recreate is `fail`. What reads from it: ' ~ (dependants | join(', ') or 'nothing')
        ~ '. To recreate it: --full-refresh'
    ) -%}
  {%- endif -%}

  {%- set rebuilt = [] -%}
  {%- set models = [] -%}
  {%- for node in graph.nodes.values() if node.resource_type == 'model' -%}
    {%- set name = dbt_pgtrickle._pgtrickle_name(dbt_pgtrickle._pgtrickle_relation_of(node)) if node.config.materialized == 'stream_table'
        else node.schema ~ '.' ~ node.alias -%}
    {%- do models.append(name) -%}
    {%- if node.unique_id in selected_resources -%}
      {%- do rebuilt.append(name) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- set lost = dependants | select('in', models) | reject('in', rebuilt) | list -%}
  {%- if lost -%}
    {%- do dbt_pgtrickle._pgtrickle_raise(
        why ~ ', which would drop what reads from it and is not part of this run: ' ~ lost | join(', ')
        ~ '. Select them, too: dbt run --select ' ~ model.name ~ '+'
    ) -%}
  {%- endif -%}

  {%- set objects = dependants | reject('in', models) | list + dbt_pgtrickle._pgtrickle_lost_objects(target) -%}
  {%- if objects -%}
    {%- do dbt_pgtrickle._pgtrickle_raise(
        why ~ ', which would drop what depends on it and no run brings back: ' ~ objects | join(', ')
        ~ '. Drop them first, and create them again afterwards'
    ) -%}
  {%- endif -%}
{% endmacro %}

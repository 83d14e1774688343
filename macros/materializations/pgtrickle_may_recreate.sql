{#
  Refuses to drop and create a stream table when that would lose something: what reads from it, unless this very run
  brings it back; and anything at all, when `on_recreate` is `fail` and nobody gave `--full-refresh`.
#}
{% macro pgtrickle_may_recreate(target, reasons, dependants) %}
  {%- set why = model.unique_id ~ ' has to be dropped and created (' ~ reasons | join(', ') ~ ')' -%}
  {%- if dbt_pgtrickle.pgtrickle_configured(model).get('on_recreate') == 'fail' and not should_full_refresh() -%}
    {%- do exceptions.raise_compiler_error(
        why ~ ', and on_recreate is `fail`. What reads from it: ' ~ (dependants | join(', ') or 'nothing')
        ~ '. With --full-refresh it is done'
    ) -%}
  {%- endif -%}

  {%- set rebuilt = [] -%}
  {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.unique_id in selected_resources -%}
    {%- do rebuilt.append(
        dbt_pgtrickle.pgtrickle_name(dbt_pgtrickle.pgtrickle_relation_of(node)) if node.config.materialized == 'stream_table'
        else node.schema ~ '.' ~ node.alias
    ) -%}
  {%- endfor -%}
  {%- set lost = dependants | reject('in', rebuilt) | list -%}
  {%- if lost -%}
    {%- do exceptions.raise_compiler_error(
        why ~ ', which would drop what reads from it and is not part of this run: ' ~ lost | join(', ')
        ~ '. Select them, too: dbt run --select ' ~ model.name ~ '+'
    ) -%}
  {%- endif -%}
{% endmacro %}

{#
  Whether dropping this stream table takes others with it. They may go only when this very run brings them back;
  otherwise the drop is refused, with their names.
#}
{% macro pgtrickle_may_cascade(target, reasons) %}
  {%- set dependants = dbt_pgtrickle.pgtrickle_dependants(target) -%}
  {%- set rebuilt = [] -%}
  {%- for node in dbt_pgtrickle.pgtrickle_models() if node.unique_id in selected_resources -%}
    {%- do rebuilt.append(dbt_pgtrickle.pgtrickle_name(dbt_pgtrickle.pgtrickle_target_relation(node))) -%}
  {%- endfor -%}
  {%- set lost = dependants | reject('in', rebuilt) | list -%}
  {%- if lost -%}
    {%- do exceptions.raise_compiler_error(
        model.unique_id ~ ' has to be recreated (' ~ reasons | join(', ') ~ '), which would drop what reads from it and is not part of this run: '
        ~ lost | join(', ') ~ '. Select them, too: dbt run --select ' ~ model.name ~ '+'
    ) -%}
  {%- endif -%}
  {{- return(dependants | length > 0) -}}
{% endmacro %}

{#
  What a model itself says, key by key: `config.meta.pgtrickle.<key>` first, which every dbt version accepts without a
  word; then the config, where older projects have it; then the unrendered config, where dbt v2 keeps a key that it
  does not know. A key that is there with a null is a key that is there: dbt v2 leaves it out of `model.config.meta`, and keeps
  it in the graph.
#}
{% macro _pgtrickle_configured(node) %}
  {#- The adapter asks before dbt 1.8 has filled the graph. -#}
  {%- set in_graph = graph.nodes.get(node.unique_id) if execute and graph.nodes is defined -%}
  {%- set meta = ((in_graph or node).config.get('meta') or {}).get('pgtrickle') or {} -%}
  {%- set configured = {} -%}
  {%- for key in dbt_pgtrickle._pgtrickle_known_keys() -%}
    {%- for source in [meta, node.config, node.get('unrendered_config') or {}] if key in source and key not in configured -%}
      {%- do configured.update({key: source[key]}) -%}
    {%- endfor -%}
  {%- endfor -%}
  {{- return(configured) -}}
{% endmacro %}

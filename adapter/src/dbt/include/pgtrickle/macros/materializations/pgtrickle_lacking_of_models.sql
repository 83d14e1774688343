{# Sentences about settings of stream table models that the server's pg_trickle does not take. #}
{% macro pgtrickle_lacking_of_models(nodes) %}
  {%- set engine = dbt_pgtrickle._pgtrickle_engine() -%}
  {%- set sentences = [] -%}
  {%- for node in nodes -%}
    {%- for name, value in dbt_pgtrickle._pgtrickle_configured(node).items() if value is not none and name in dbt_pgtrickle._pgtrickle_known_settings() -%}
      {%- set known = dbt_pgtrickle._pgtrickle_known_settings()[name] -%}
      {%- set word = dbt_pgtrickle._pgtrickle_engine_word(name, known, value) -%}
      {%- set function = 'alter_stream_table' if known.set_by == 'alter' else 'create_stream_table' -%}
      {%- for sentence in dbt_pgtrickle._pgtrickle_lacking(engine, function, [name]) if word not in [known.get('default'), known.get('without')] -%}
        {%- do sentences.append(node.unique_id ~ ': ' ~ sentence) -%}
      {%- endfor -%}
    {%- endfor -%}
  {%- endfor -%}
  {{- return(sentences) -}}
{% endmacro %}

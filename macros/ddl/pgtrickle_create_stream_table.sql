{# Creates a stream table, with every setting that the model names. #}
{% macro pgtrickle_create_stream_table(relation, query, settings={}) %}
  {%- set arguments = {'name': dbt_pgtrickle.pgtrickle_name(relation), 'query': query} -%}
  {%- set afterwards = {} -%}
  {%- for name, value in settings.items() -%}
    {%- if name == 'schedule' -%}
      {%- do arguments.update({name: value if value is not none else 'calculated'}) -%}
    {%- elif value is none or value == dbt_pgtrickle.pgtrickle_known_settings()[name].get('default') and name != 'refresh_mode' -%}
      {#- What the engine does anyway. Left unsaid, so that a server without the setting is content. -#}
    {%- elif dbt_pgtrickle.pgtrickle_known_settings()[name].set_by == 'alter' -%}
      {%- do afterwards.update({name: value}) -%}
    {%- else -%}
      {%- do arguments.update({name: value}) -%}
    {%- endif -%}
  {%- endfor -%}

  {%- do dbt_pgtrickle.pgtrickle_execute(dbt_pgtrickle.pgtrickle_call('create_stream_table', arguments)) -%}
  {%- if afterwards -%}
    {%- do dbt_pgtrickle.pgtrickle_alter_stream_table(relation, afterwards) -%}
  {%- endif -%}
{% endmacro %}

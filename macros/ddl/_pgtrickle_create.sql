{#
  Creates a stream table, with every setting that is named; refused when the engine lacks one of them. `function` is
  create_stream_table, or another function of the engine that takes the same.
#}
{% macro _pgtrickle_create(relation, query, settings={}, engine=none, function='create_stream_table') %}
  {%- set engine = engine or dbt_pgtrickle._pgtrickle_engine() -%}
  {%- set arguments = {'name': dbt_pgtrickle._pgtrickle_name(relation), 'query': query} -%}
  {%- set afterwards = {} -%}
  {%- for name, value in settings.items() -%}
    {%- if name == 'schedule' -%}
      {%- do arguments.update({name: value if value is not none else 'calculated'}) -%}
    {%- elif value is none or value == dbt_pgtrickle._pgtrickle_known_settings()[name].get('default') and name != 'refresh_mode'
        or value == dbt_pgtrickle._pgtrickle_known_settings()[name].get('without') -%}
      {#- The engine's default is left out, so that a server without the setting accepts the call. -#}
    {%- elif dbt_pgtrickle._pgtrickle_known_settings()[name].set_by == 'alter' -%}
      {%- do afterwards.update({name: value}) -%}
    {%- else -%}
      {%- do arguments.update({name: value}) -%}
    {%- endif -%}
  {%- endfor -%}

  {%- set lacking = dbt_pgtrickle._pgtrickle_lacking(engine, function, arguments)
      + dbt_pgtrickle._pgtrickle_lacking(engine, 'alter_stream_table', afterwards) -%}
  {%- if lacking -%}
    {%- do dbt_pgtrickle._pgtrickle_raise(dbt_pgtrickle._pgtrickle_name(relation) ~ ' cannot be created:\n  - ' ~ lacking | join('\n  - ')) -%}
  {%- endif -%}

  {%- do dbt_pgtrickle._pgtrickle_drop_left_buffers() -%}
  {%- do dbt_pgtrickle._pgtrickle_execute(dbt_pgtrickle._pgtrickle_call(function, arguments)) -%}
  {%- if afterwards -%}
    {%- do dbt_pgtrickle._pgtrickle_alter(relation, afterwards, engine) -%}
  {%- endif -%}
{% endmacro %}

{#
  Changes what `changes` names, a query among it, in one call; refused when the engine lacks one of them. The engine has another
  function for who refreshes the table, which comes last: it refuses to refresh one that an external orchestrator refreshes.
#}
{% macro _pgtrickle_alter(relation, changes, engine=none) %}
  {%- set engine = engine or dbt_pgtrickle._pgtrickle_engine() -%}
  {%- set arguments = {'name': dbt_pgtrickle._pgtrickle_name(relation)} -%}
  {%- set orchestration = {} -%}
  {%- for name, value in changes.items() -%}
    {%- do (orchestration if name == 'orchestration_mode' else arguments).update({name: value}) -%}
  {%- endfor -%}
  {%- set lacking = dbt_pgtrickle._pgtrickle_lacking(engine, 'alter_stream_table', arguments)
      + (dbt_pgtrickle._pgtrickle_lacking(engine, 'create_stream_table', orchestration)) -%}
  {%- if lacking -%}
    {%- do dbt_pgtrickle._pgtrickle_raise(arguments.name ~ ' cannot be altered:\n  - ' ~ lacking | join('\n  - ')) -%}
  {%- endif -%}
  {%- if arguments | length > 1 -%}
    {%- do dbt_pgtrickle._pgtrickle_execute(dbt_pgtrickle._pgtrickle_call('alter_stream_table', arguments)) -%}
  {%- endif -%}
  {%- if orchestration -%}
    {%- do dbt_pgtrickle._pgtrickle_execute(dbt_pgtrickle._pgtrickle_call(
        'set_orchestration_mode', {'stream_table': relation | string, 'mode': orchestration.orchestration_mode}
    )) -%}
  {%- endif -%}
{% endmacro %}

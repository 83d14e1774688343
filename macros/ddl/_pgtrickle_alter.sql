{# Changes what `changes` names, a query among it, in one call; refused when the engine lacks one of them. #}
{% macro _pgtrickle_alter(relation, changes, engine=none) %}
  {%- set arguments = {'name': dbt_pgtrickle._pgtrickle_name(relation)} -%}
  {%- do arguments.update(changes) -%}
  {%- set lacking = dbt_pgtrickle._pgtrickle_lacking(engine or dbt_pgtrickle._pgtrickle_engine(), 'alter_stream_table', arguments) -%}
  {%- if lacking -%}
    {%- do dbt_pgtrickle._pgtrickle_raise(arguments.name ~ ' cannot be altered:\n  - ' ~ lacking | join('\n  - ')) -%}
  {%- endif -%}
  {%- do dbt_pgtrickle._pgtrickle_execute(dbt_pgtrickle._pgtrickle_call('alter_stream_table', arguments)) -%}
{% endmacro %}

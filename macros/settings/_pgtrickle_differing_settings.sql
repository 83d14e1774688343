{# The settings in which the deployed stream table is not what the model asks for, with the value to give to the engine. #}
{% macro _pgtrickle_differing_settings(deployed, settings) %}
  {%- set differing = {} -%}
  {%- for name, wanted in settings.items() if 'column' in dbt_pgtrickle._pgtrickle_known_settings()[name] -%}
    {%- set current = deployed[dbt_pgtrickle._pgtrickle_known_settings()[name].column] -%}

    {%- if name == 'schedule' -%}
      {%- if not dbt_pgtrickle._pgtrickle_same_schedule(wanted, current) -%}
        {%- do differing.update({name: wanted if wanted is not none else 'calculated'}) -%}
      {%- endif -%}

    {%- elif name == 'refresh_mode' and wanted == 'AUTO' -%}
      {#- AUTO is a wish at creation. The engine keeps what it chose, and refuses AUTO for a table that exists
          (docs/pg_trickle.md, Refresh modes). -#}
      {%- if current == 'IMMEDIATE' -%}
        {%- do differing.update({name: 'DIFFERENTIAL'}) -%}
      {%- endif -%}

    {%- elif name == 'append_only' and not wanted -%}
      {#- The engine turns this on by itself after insert-only refreshes: not a difference (docs/pg_trickle.md, Refresh modes). -#}

    {%- elif name == 'status' -%}
      {#- ERROR and INITIALIZING are how a table fares, not what it was set to (docs/pg_trickle.md, Status). -#}
      {%- if (wanted == 'SUSPENDED') != (current == 'SUSPENDED') -%}
        {%- do differing.update({name: wanted}) -%}
      {%- endif -%}

    {%- elif name == 'partition_by' and not wanted and not current -%}
      {#- Not partitioned, however it is written. -#}

    {%- elif wanted != current -%}
      {%- do differing.update({name: wanted}) -%}
    {%- endif -%}
  {%- endfor -%}
  {{- return(differing) -}}
{% endmacro %}

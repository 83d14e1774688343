{# The settings in which the deployed stream table differs from the model, with the value for the engine. #}
{% macro _pgtrickle_differing_settings(deployed, settings) %}
  {%- set differing = {} -%}
  {%- for name, wanted in settings.items() if 'column' in dbt_pgtrickle._pgtrickle_known_settings()[name] -%}
    {%- set current = deployed[dbt_pgtrickle._pgtrickle_known_settings()[name].column] -%}

    {%- if name == 'schedule' -%}
      {%- if not dbt_pgtrickle._pgtrickle_same_schedule(wanted, current) -%}
        {%- do differing.update({name: wanted if wanted is not none else 'calculated'}) -%}
      {%- endif -%}

    {%- elif name == 'refresh_mode' and wanted == 'AUTO' -%}
      {#- AUTO only applies at creation. The engine stores the mode that it chose, and rejects AUTO for an existing table
          (docs/pg_trickle.md, Refresh modes). -#}
      {%- if current == 'IMMEDIATE' -%}
        {%- do differing.update({name: 'DIFFERENTIAL'}) -%}
      {%- endif -%}

    {%- elif name == 'append_only' and not wanted -%}
      {#- The engine turns this on by itself after insert-only refreshes: not a difference (docs/pg_trickle.md, Refresh modes). -#}

    {%- elif name == 'status' -%}
      {#- ERROR and INITIALIZING are states of a table, not settings (docs/pg_trickle.md, Status). -#}
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

{# The settings in which the deployed stream table differs from the model, with the value for the engine. #}
{% macro _pgtrickle_differing_settings(deployed, settings) %}
  {%- set differing = {} -%}
  {%- for name, wanted in settings.items() if 'column' in dbt_pgtrickle._pgtrickle_known_settings()[name] -%}
    {%- set current = deployed[dbt_pgtrickle._pgtrickle_known_settings()[name].column] -%}

    {%- if current is undefined -%}
      {#- This version does not have it: calling the engine with it is refused with the version that does. -#}
      {%- if wanted != dbt_pgtrickle._pgtrickle_known_settings()[name].get('without') -%}
        {%- do differing.update({name: wanted}) -%}
      {%- endif -%}

    {%- elif name == 'schedule' -%}
      {%- if not dbt_pgtrickle._pgtrickle_same_schedule(wanted, current) -%}
        {%- do differing.update({name: wanted if wanted is not none else 'calculated'}) -%}
      {%- endif -%}

    {%- elif name == 'refresh_mode' and deployed.get('requested_refresh_mode') is not none -%}
      {%- if wanted != deployed.requested_refresh_mode -%}
        {%- do differing.update({name: wanted}) -%}
      {%- endif -%}

    {%- elif name == 'refresh_mode' and wanted == 'AUTO' -%}
      {#- Without that column the engine stores only the mode that it chose at creation, and rejects AUTO for an existing
          table (docs/pg_trickle.md, Refresh modes). -#}
      {%- if current == 'IMMEDIATE' -%}
        {%- do differing.update({name: 'DIFFERENTIAL'}) -%}
      {%- endif -%}

    {%- elif name == 'target_freshness' -%}
      {#- The catalog has the kind of the target only (docs/pg_trickle.md, Freshness). -#}
      {%- if (wanted | upper if wanted | upper in ['ON_COMMIT', 'MANUAL'] else 'INTERVAL') != current -%}
        {%- do differing.update({name: wanted}) -%}
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

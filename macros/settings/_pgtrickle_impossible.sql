{# Errors in combinations of valid settings, which the engine would reject (docs/pg_trickle.md, Refresh modes and Alter). #}
{% macro _pgtrickle_impossible(settings, configured) %}
  {%- set problems = [] -%}
  {%- set mode = settings.get('refresh_mode') -%}
  {%- if settings.get('append_only') and mode in ['FULL', 'IMMEDIATE'] -%}
    {%- do problems.append('append_only cannot go with refresh_mode ' ~ mode) -%}
  {%- endif -%}
  {%- if settings.get('partition_by') and mode == 'IMMEDIATE' -%}
    {%- do problems.append('partition_by cannot go with refresh_mode IMMEDIATE') -%}
  {%- endif -%}
  {%- if settings.get('cdc_mode') == 'wal' and mode == 'IMMEDIATE' -%}
    {%- do problems.append('cdc_mode wal cannot go with refresh_mode IMMEDIATE') -%}
  {%- endif -%}
  {%- if settings.get('diamond_consistency') == 'none' and settings.get('diamond_schedule_policy') == 'slowest' -%}
    {%- do problems.append('diamond_schedule_policy slowest cannot go with diamond_consistency none') -%}
  {%- endif -%}
  {%- for name in ['fuse_ceiling', 'fuse_sensitivity'] if name in settings and settings[name] < 1 -%}
    {%- do problems.append(name ~ ' is `' ~ settings[name] ~ '`, but has to be 1 or more') -%}
  {%- endfor -%}
  {%- if configured.get('on_recreate', 'apply') not in ['apply', 'fail'] -%}
    {%- do problems.append('on_recreate is `' ~ configured.on_recreate ~ '`, but can be apply, fail') -%}
  {%- endif -%}
  {{- return(problems) -}}
{% endmacro %}

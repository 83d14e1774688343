{#
  The settings that the model asks for, in the engine's own words: defaults filled in, letter case and synonyms
  settled. All that is wrong with them is one error.
#}
{% macro _pgtrickle_settings(node) %}
  {%- set configured = dbt_pgtrickle._pgtrickle_configured(node) -%}
  {%- set settings = {} -%}
  {%- set problems = [] -%}
  {#- A misspelled setting must not become a default. -#}
  {%- for key in (node.config.get('meta') or {}).get('pgtrickle') or {} if key not in dbt_pgtrickle._pgtrickle_known_keys() -%}
    {%- do problems.append('`' ~ key ~ '` is not a setting') -%}
  {%- endfor -%}

  {%- for sentence in dbt_pgtrickle._pgtrickle_misspelled(node) -%}
    {%- do exceptions.warn('pg_trickle: ' ~ node.unique_id ~ ': ' ~ sentence) -%}
  {%- endfor -%}

  {%- for name, known in dbt_pgtrickle._pgtrickle_known_settings().items() -%}
    {%- set value = configured.get(name) -%}
    {%- if value is none and not (name in configured and known.get('nullable')) -%}
      {%- set value = known.get('default') -%}
    {%- endif -%}
    {%- set value = dbt_pgtrickle._pgtrickle_engine_word(name, known, value) -%}
    {%- if value is none -%}
      {%- if known.get('nullable') -%}
        {%- do settings.update({name: none}) -%}
      {%- endif -%}
    {%- elif 'values' in known and value not in known['values'] -%}
      {%- do problems.append(name ~ ' is `' ~ value ~ '`, but can be ' ~ known['values'] | join(', ')) -%}
    {%- elif dbt_pgtrickle._pgtrickle_type_of(value) not in [known.type, 'integer' if known.type == 'number' else known.type] -%}
      {%- do problems.append(name ~ ' is `' ~ value ~ '`, but has to be ' ~ {'text': 'a text', 'boolean': 'true or false', 'integer': 'a whole number', 'number': 'a number'}[known.type]) -%}
    {%- else -%}
      {%- do settings.update({name: value}) -%}
    {%- endif -%}
  {%- endfor -%}

  {%- set problems = problems + dbt_pgtrickle._pgtrickle_impossible(settings, configured)
      + dbt_pgtrickle._pgtrickle_wrong_limits(node) -%}
  {%- if problems -%}
    {%- do dbt_pgtrickle._pgtrickle_raise('the pgtrickle settings of ' ~ node.unique_id ~ ' are wrong:\n  - ' ~ problems | join('\n  - ')) -%}
  {%- endif -%}

  {%- if settings.get('status') == 'PAUSED' -%}
    {%- do settings.update({'status': 'SUSPENDED'}) -%}
  {%- endif -%}
  {#- The catalog's word for "whenever a reader needs it" is NULL, and IMMEDIATE tables have no schedule at all
      (docs/pg_trickle.md, Schedules). -#}
  {%- if settings.schedule == 'calculated' or settings.refresh_mode == 'IMMEDIATE' -%}
    {%- do settings.update({'schedule': none}) -%}
  {%- endif -%}
  {{- return(settings) -}}
{% endmacro %}

{# Logs a line for each row of {name, verdict, detail} and fails, once all of them are out, when a verdict is `error`. #}
{% macro _pgtrickle_report(what, rows) %}
  {%- set failed = [] -%}
  {%- for row in rows -%}
    {%- do dbt_pgtrickle._pgtrickle_log((row['verdict'] | upper ~ '     ')[:5] ~ '  ' ~ row['name'] ~ '  ' ~ row['detail']) -%}
    {%- if row['verdict'] == 'error' -%}
      {%- do failed.append(row['name']) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- if failed -%}
    {%- do dbt_pgtrickle._pgtrickle_raise(what ~ ': ' ~ failed | length ~ ' of ' ~ rows | length ~ ' failed: ' ~ failed | join(', ')) -%}
  {%- endif -%}
  {%- do dbt_pgtrickle._pgtrickle_log(what ~ ': ' ~ rows | length ~ ' looked at, none failed') -%}
{% endmacro %}

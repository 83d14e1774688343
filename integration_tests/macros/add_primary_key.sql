{# A seed's primary key, unless it is there: dbt keeps the table and only reloads it the next time. #}
{% macro add_primary_key(relation, column) %}
  {%- if execute -%}
    {%- set keys = run_query("select conname from pg_constraint where conrelid = '" ~ relation ~ "'::regclass and contype = 'p'") -%}
    {%- if keys.rows | length == 0 -%}
      alter table {{ relation }} add primary key ({{ column }})
    {%- endif -%}
  {%- endif -%}
{% endmacro %}

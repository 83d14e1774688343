{# Who made a stream table, as it is written on the table. Readers parse it as JSON; it is compared as text here. #}
{% macro pgtrickle_mark() %}
  {{- return('{"dbt_project": "' ~ project_name ~ '", "unique_id": "' ~ model.unique_id ~ '"}') -}}
{% endmacro %}

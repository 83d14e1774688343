{# The columns without those that the engine adds to a stream table. #}
{% macro _pgtrickle_visible(columns) %}
  {%- set visible = [] -%}
  {%- for column in columns if not column.name.startswith('__pgt_') -%}
    {%- do visible.append(column) -%}
  {%- endfor -%}
  {{- return(visible) -}}
{% endmacro %}

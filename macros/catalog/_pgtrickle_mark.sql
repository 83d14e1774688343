{#
  The project, model and target of a stream table, as the JSON that _pgtrickle_write_mark writes and
  pgtrickle_get_stream_table_info reads. `pgtrickle-ci apply` writes the same.
#}
{% macro _pgtrickle_mark() %}
  {{- return({'dbt_project': project_name, 'unique_id': model.unique_id, 'target': target.name, 'schema': target.schema}) -}}
{% endmacro %}

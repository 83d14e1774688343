{#
  Whether dbt only renders the SQL of the project: it parses, or compiles. `dbt compile` and `dbt docs generate` render on-run
  hooks as well, and `pgtrickle-ci plan` compiles: what changes or judges something does nothing then. `in_hook` asks for
  hooks only, for what answers: the SQL of a model may depend on the answer.
#}
{% macro _pgtrickle_only_renders(in_hook=false) %}
  {%- if not execute -%}
    {{- return(true) -}}
  {%- endif -%}
  {{- return(
    flags.WHICH in ['compile', 'generate', 'list', 'show']
    and (not in_hook or (model is defined and model.resource_type == 'operation'))
  ) -}}
{% endmacro %}

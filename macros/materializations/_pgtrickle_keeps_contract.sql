{# Whether a query has the columns of the model's contract. For dbt v2: a query that fails is rolled back before it raises. #}
{% macro _pgtrickle_keeps_contract(query) %}
  {%- if not model.columns -%}
    {{- return(false) -}}
  {%- endif -%}
  {#- It raises if a column has no type. -#}
  {%- set contract = get_empty_schema_sql(model.columns) -%}
  {%- do dbt_pgtrickle._pgtrickle_begin_trial() -%}
  {%- do dbt_pgtrickle._pgtrickle_lock(shared=true) -%}
  {%- set both = 'select from (' ~ contract ~ '\n) as c left join (' ~ query ~ '\n) as q on false' -%}
  {%- do dbt_pgtrickle._pgtrickle_ddl('_pgtrickle_keeps_contract', both) -%}
  {%- set of_contract = dbt_pgtrickle._pgtrickle_query_columns(contract) -%}
  {%- set of_query = dbt_pgtrickle._pgtrickle_query_columns(query) -%}
  {%- do dbt_pgtrickle._pgtrickle_end_trial() -%}
  {%- if of_contract | length != of_query | length -%}
    {{- return(false) -}}
  {%- endif -%}
  {%- for column in of_query if column not in of_contract -%}
    {{- return(false) -}}
  {%- endfor -%}
  {{- return(true) -}}
{% endmacro %}

{# The package's, with its relation as what it is to this adapter. #}
{% materialization stream_table, adapter='pgtrickle' %}
  {%- do adapter.pgtrickle_require() -%}
  {%- set relations = [] -%}
  {%- for relation in dbt_pgtrickle.materialization_stream_table_postgres().relations -%}
    {%- do relations.append(relation.incorporate(type=api.Relation.StreamTable)) -%}
  {%- endfor -%}
  {{ return({'relations': relations}) }}
{% endmaterialization %}

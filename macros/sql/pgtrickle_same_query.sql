{# Whether two texts are one query, in whatever layout: see pgtrickle_query_tokens. #}
{% macro pgtrickle_same_query(one, other) %}
  {{- return(one == other or dbt_pgtrickle.pgtrickle_query_tokens(one) == dbt_pgtrickle.pgtrickle_query_tokens(other)) -}}
{% endmacro %}

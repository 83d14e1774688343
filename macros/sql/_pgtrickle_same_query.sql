{# Whether two texts are one query, in whatever layout: see _pgtrickle_query_tokens. #}
{% macro _pgtrickle_same_query(one, other) %}
  {{- return(one == other or dbt_pgtrickle._pgtrickle_query_tokens(one) == dbt_pgtrickle._pgtrickle_query_tokens(other)) -}}
{% endmacro %}

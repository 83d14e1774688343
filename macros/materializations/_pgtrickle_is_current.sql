{# Whether a stream table matches its model. Sends no query. #}
{% macro _pgtrickle_is_current(deployed, query, settings, mark) %}
  {{- return(
    deployed is not none
    and not should_full_refresh()
    and deployed.mark == mark
    and not deployed.lost_source
    and not deployed.get('needs_reinit')
    and dbt_pgtrickle._pgtrickle_same_query(deployed.query, query)
    and not dbt_pgtrickle._pgtrickle_differing_settings(deployed, settings)
  ) -}}
{% endmacro %}

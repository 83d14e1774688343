{#
  What the server's pg_trickle can do: its `version`, the `parameters` of its functions by name, whether it can monitor itself. Asked once a model,
  and only when there is something to change.
#}
{% macro pgtrickle_engine() %}
  {%- set sql %}
    select jsonb_build_object(
      'version', (select extversion from pg_catalog.pg_extension where extname = 'pg_trickle'),
      'has_monitoring', pg_catalog.to_regprocedure('pgtrickle.setup_self_monitoring()') is not null,
      'parameters', coalesce((
        select jsonb_object_agg(proname, parameters)
        from (
          select p.proname, jsonb_agg(parameter) as parameters
          from pg_catalog.pg_proc as p
          cross join unnest(coalesce(p.proargnames, '{}')) as parameter
          where p.pronamespace = 'pgtrickle'::regnamespace
          group by p.proname
        ) as functions
      ), '{}')
    )::text
  {%- endset -%}
  {{- return(fromjson(dbt_pgtrickle.pgtrickle_first_column(sql)[0])) -}}
{% endmacro %}

{#
  What the server's pg_trickle can do: its `version`, the `parameters` of its functions by name, whether it can monitor
  itself. Asked when there is something to change, once an invocation: dbt 1.x hands the same `graph` to all models.
#}
{% macro pgtrickle_engine() %}
  {%- set kept = graph.setdefault('dbt_pgtrickle', {}) if graph.setdefault is defined else {} -%}
  {%- if 'engine' in kept -%}
    {{- return(kept.engine) -}}
  {%- endif -%}
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
  {%- set engine = fromjson(dbt_pgtrickle.pgtrickle_first_column(sql)[0]) -%}
  {%- do kept.update({'engine': engine}) -%}
  {{- return(engine) -}}
{% endmacro %}

{#
  The server's pg_trickle: its `version`, the `parameters` of its functions by name, and whether `has_citus`. Queried before the first change,
  once an invocation: dbt 1.x passes the same `graph` to all models.
#}
{% macro _pgtrickle_engine() %}
  {%- set kept = graph.setdefault('dbt_pgtrickle', {}) if graph.setdefault is defined else {} -%}
  {%- if 'engine' in kept -%}
    {{- return(kept.engine) -}}
  {%- endif -%}
  {%- set sql %}
    select jsonb_build_object(
      'has_citus', pg_catalog.to_regclass('pg_catalog.pg_dist_partition') is not null,
      'version', (select extversion from pg_catalog.pg_extension where extname = 'pg_trickle'),
      'parameters', coalesce((
        select jsonb_object_agg(proname, parameters)
        from (
          select p.proname, coalesce(jsonb_agg(parameter) filter (where parameter is not null), '[]') as parameters
          from pg_catalog.pg_proc as p
          left join unnest(p.proargnames) as parameter on true
          where p.pronamespace = pg_catalog.to_regnamespace('pgtrickle')
          group by p.proname
        ) as functions
      ), '{}')
    )::text
  {%- endset -%}
  {%- set engine = fromjson(dbt_pgtrickle._pgtrickle_first_column(sql)[0]) -%}
  {%- do kept.update({'engine': engine}) -%}
  {{- return(engine) -}}
{% endmacro %}

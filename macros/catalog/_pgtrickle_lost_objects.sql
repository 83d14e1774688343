{#
  What PostgreSQL drops together with a stream table, through its columns, its row type or what reads it, and no run brings
  back: functions, columns of other tables, rules and the like, in PostgreSQL's words. Views are _pgtrickle_dependants. Parts
  of the table and of its views, such as policies and triggers, are left to their models and hooks. `pgtrickle-ci plan`
  looks in the same way (lost_objects.sql).
#}
{% macro _pgtrickle_lost_objects(relation) %}
  {%- set sql %}
    with recursive gone (classid, objid, objsubid) as (
      select 'pg_catalog.pg_class'::regclass::oid, st.pgt_relid::oid, 0
      from pgtrickle.pgt_stream_tables as st
      where st.pgt_schema = {{ dbt_pgtrickle._pgtrickle_literal(relation.schema) }}
        and st.pgt_name = {{ dbt_pgtrickle._pgtrickle_literal(relation.identifier) }}
      union
      select next.classid, next.objid, next.objsubid
      from gone
      cross join lateral (
        select d.classid, d.objid, d.objsubid
        from pg_catalog.pg_depend as d
        where d.refclassid = gone.classid and d.refobjid = gone.objid and gone.objsubid in (0, d.refobjsubid)
        union all
        select d.refclassid, d.refobjid, d.refobjsubid
        from pg_catalog.pg_depend as d
        where d.classid = gone.classid and d.objid = gone.objid and d.objsubid = gone.objsubid and d.deptype = 'i'
      ) as next
    )
    select pg_catalog.pg_describe_object(gone.classid, gone.objid, gone.objsubid)
    from gone
    left join pg_catalog.pg_rewrite as r on gone.classid = 'pg_catalog.pg_rewrite'::regclass and r.oid = gone.objid
    left join pg_catalog.pg_attrdef as f on gone.classid = 'pg_catalog.pg_attrdef'::regclass and f.oid = gone.objid
    left join pg_catalog.pg_trigger as g on gone.classid = 'pg_catalog.pg_trigger'::regclass and g.oid = gone.objid
    left join pg_catalog.pg_constraint as k on gone.classid = 'pg_catalog.pg_constraint'::regclass and k.oid = gone.objid
    left join pg_catalog.pg_policy as p on gone.classid = 'pg_catalog.pg_policy'::regclass and p.oid = gone.objid
    left join pg_catalog.pg_statistic_ext as x on gone.classid = 'pg_catalog.pg_statistic_ext'::regclass and x.oid = gone.objid
    left join pg_catalog.pg_type as t on gone.classid = 'pg_catalog.pg_type'::regclass and t.oid = gone.objid
    where gone.classid <> 'pg_catalog.pg_publication_rel'::regclass
      and coalesce(r.rulename <> '_RETURN', true)
      -- The types of rows, and of arrays of them.
      and coalesce(t.typtype <> 'c' and t.typcategory <> 'A', true)
      and not coalesce(g.tgisinternal, false)
      and not exists (
        select from gone as whole
        where whole.classid = 'pg_catalog.pg_class'::regclass and whole.objsubid = 0
          and whole.objid = coalesce(case when gone.classid = whole.classid then gone.objid end, r.ev_class, f.adrelid, g.tgrelid, k.conrelid, p.polrelid, x.stxrelid)
      )
    order by 1
  {%- endset -%}
  {{- return(dbt_pgtrickle._pgtrickle_first_column(sql) | list) -}}
{% endmacro %}

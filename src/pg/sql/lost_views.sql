-- The statements that recreate these views: definition, owner, grants, comments, column defaults, rules, triggers and
-- indexes. With this search_path every name has its schema. lost_objects.sql finds everything that they do not restore.
set local search_path = '';
select coalesce(jsonb_agg(jsonb_build_object(
  'relation', jsonb_build_object('schema', n.nspname, 'name', c.relname),
  'reads', (
    select coalesce(jsonb_agg(distinct jsonb_build_object('schema', rn.nspname, 'name', r.relname)), '[]')
    from pg_catalog.pg_rewrite as w
    join pg_catalog.pg_depend as d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid
      and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> c.oid
    join pg_catalog.pg_class as r on r.oid = d.refobjid
    join pg_catalog.pg_namespace as rn on rn.oid = r.relnamespace
    where w.ev_class = c.oid
  ),
  'owner', pg_catalog.pg_get_userbyid(c.relowner),
  'statements', (
    select jsonb_agg(statement order by place, at) from (
      select 1 as place, 0 as at, format(E'create %sview %I.%I%s as\n%s%s',
        case when c.relkind = 'm' then 'materialized ' else '' end, n.nspname, c.relname,
        case when c.reloptions is not null
          then ' with (' || (
            select string_agg(format('%I = %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ') from unnest(c.reloptions) as o
          ) || ')' else '' end,
        rtrim(pg_catalog.pg_get_viewdef(c.oid), ';'),
        case when c.relkind = 'm' and not c.relispopulated then E'\nwith no data' else '' end) as statement
      union all
      select 2, a.attnum, format('alter view %I.%I alter column %I set default %s', n.nspname, c.relname, a.attname,
        pg_catalog.pg_get_expr(f.adbin, f.adrelid))
      from pg_catalog.pg_attrdef as f
      join pg_catalog.pg_attribute as a on a.attrelid = f.adrelid and a.attnum = f.adnum
      where f.adrelid = c.oid
      union all
      select 3, row_number() over (order by i.indexrelid), pg_catalog.pg_get_indexdef(i.indexrelid)
      from pg_catalog.pg_index as i where i.indrelid = c.oid
      union all
      select 3, 1000 + row_number() over (order by i.indexrelid), format('alter materialized view %I.%I cluster on %I', n.nspname, c.relname, ic.relname)
      from pg_catalog.pg_index as i join pg_catalog.pg_class as ic on ic.oid = i.indexrelid
      where i.indrelid = c.oid and i.indisclustered
      union all
      select 3, 2000 + a.attnum, format('alter materialized view %I.%I alter column %I set statistics %s', n.nspname, c.relname, a.attname, a.attstattarget)
      from pg_catalog.pg_attribute as a
      where a.attrelid = c.oid and c.relkind = 'm' and a.attnum > 0 and not a.attisdropped and a.attstattarget >= 0
      union all
      select 3, 3000 + row_number() over (order by i.indexrelid), format('comment on index %I.%I is %L', n.nspname, ic.relname, o.description)
      from pg_catalog.pg_index as i join pg_catalog.pg_class as ic on ic.oid = i.indexrelid
      join pg_catalog.pg_description as o on o.classoid = 'pg_catalog.pg_class'::regclass and o.objoid = ic.oid and o.objsubid = 0
      where i.indrelid = c.oid
      union all
      select 4, row_number() over (order by w.oid), rtrim(pg_catalog.pg_get_ruledef(w.oid), ';')
      from pg_catalog.pg_rewrite as w where w.ev_class = c.oid and w.rulename <> '_RETURN'
      union all
      select 5, row_number() over (order by g.oid), pg_catalog.pg_get_triggerdef(g.oid)
      from pg_catalog.pg_trigger as g where g.tgrelid = c.oid and not g.tgisinternal
      union all
      select 6, 0, format('comment on %s %I on %I.%I is %L', part.kind, part.name, n.nspname, c.relname, o.description)
      from (
        select 'rule' as kind, 'pg_catalog.pg_rewrite'::regclass as classoid, w.oid, w.rulename as name, w.ev_class as relid
        from pg_catalog.pg_rewrite as w where w.ev_class = c.oid and w.rulename <> '_RETURN'
        union all
        select 'trigger', 'pg_catalog.pg_trigger'::regclass, g.oid, g.tgname, g.tgrelid
        from pg_catalog.pg_trigger as g where g.tgrelid = c.oid and not g.tgisinternal
      ) as part
      join pg_catalog.pg_description as o on o.classoid = part.classoid and o.objoid = part.oid
      union all
      select 6, o.objsubid, case when o.objsubid = 0
        then format('comment on %sview %I.%I is %L', case when c.relkind = 'm' then 'materialized ' else '' end, n.nspname, c.relname, o.description)
        else format('comment on column %I.%I.%I is %L', n.nspname, c.relname, a.attname, o.description) end
      from pg_catalog.pg_description as o
      left join pg_catalog.pg_attribute as a on a.attrelid = o.objoid and a.attnum = o.objsubid and o.objsubid > 0
      where o.classoid = 'pg_catalog.pg_class'::regclass and o.objoid = c.oid
      union all
      select 7, 0, format('alter %sview %I.%I owner to %I', case when c.relkind = 'm' then 'materialized ' else '' end,
        n.nspname, c.relname, pg_catalog.pg_get_userbyid(c.relowner))
      union all
      -- First revoke what default privileges grant on a new view.
      select 8, row_number() over (), format('revoke all on %I.%I from %s', n.nspname, c.relname, r.who)
      from (
        select 'public' as who union select format('%I', pg_catalog.pg_get_userbyid(c.relowner))
        union select format('%I', pg_catalog.pg_get_userbyid(x.grantee)) from pg_catalog.pg_default_acl as da
        cross join lateral pg_catalog.aclexplode(da.defaclacl) as x where x.grantee <> 0
      ) as r
      where c.relacl is not null or exists (select from pg_catalog.pg_default_acl)
      union all
      select 9, row_number() over (), format('grant %s on %I.%I to %s%s', x.privilege_type, n.nspname, c.relname,
        case when x.grantee = 0 then 'public' else format('%I', pg_catalog.pg_get_userbyid(x.grantee)) end,
        case when x.is_grantable then ' with grant option' else '' end)
      from pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) as x
      where c.relacl is not null or exists (select from pg_catalog.pg_default_acl)
      union all
      select 10, row_number() over (), format('grant %s (%I) on %I.%I to %s%s', x.privilege_type, a.attname, n.nspname, c.relname,
        case when x.grantee = 0 then 'public' else format('%I', pg_catalog.pg_get_userbyid(x.grantee)) end,
        case when x.is_grantable then ' with grant option' else '' end)
      from pg_catalog.pg_attribute as a
      cross join lateral pg_catalog.aclexplode(a.attacl) as x
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ) as parts
  )
) order by n.nspname, c.relname), '[]')::text
from jsonb_to_recordset($relations) as wanted (schema text, name text)
join pg_catalog.pg_namespace as n on n.nspname = wanted.schema
join pg_catalog.pg_class as c on c.relnamespace = n.oid and c.relname = wanted.name and c.relkind in ('v', 'm')

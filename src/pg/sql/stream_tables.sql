-- Every stream table: the whole catalog row as JSON, in which a null is a missing key like a column which this version lacks,
-- with facts from other catalogs. json_agg writes each row once, jsonb_agg twice.
select coalesce(json_agg(
  jsonb_strip_nulls(to_jsonb(s)) || jsonb_build_object(
    'has_old_identity', to_jsonb(s) ? 'row_probe_version' and to_jsonb(s) ->> 'row_probe_version' is null,
    'last_refresh_at', extract(epoch from s.last_refresh_at),
    'storage_exists', exists (
      select from pg_catalog.pg_class as c
      join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
      where c.oid = s.pgt_relid and n.nspname = s.pgt_schema and c.relname = s.pgt_name
    ),
    'updated_at', extract(epoch from s.updated_at),
    'data_timestamp', extract(epoch from s.data_timestamp),
    'storage_now', (
      select n.nspname || '.' || c.relname
      from pg_catalog.pg_class as c
      join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
      where c.oid = s.pgt_relid
    ),
    'name_taken', exists (
      select from pg_catalog.pg_class as c
      join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
      where c.oid <> s.pgt_relid and n.nspname = s.pgt_schema and c.relname = s.pgt_name
    ),
    -- Earlier versions wrote it as the comment of the column. A user's comment may be JSON that jsonb does not take. The dbt
    -- package reads the same (_pgtrickle_mark_sql).
    'mark', (
      select place.comment::jsonb
      from (
        select 1 as nth, o.description as comment
        from pg_catalog.pg_trigger as t
        join pg_catalog.pg_description as o
          on o.objoid = t.oid and o.classoid = 'pg_catalog.pg_trigger'::regclass and o.objsubid = 0
        where t.tgrelid = s.pgt_relid and t.tgname = 'pgt_dml_guard'
        union all
        select 2, o.description
        from pg_catalog.pg_attribute as a
        join pg_catalog.pg_description as o
          on o.objoid = a.attrelid and o.classoid = 'pg_catalog.pg_class'::regclass and o.objsubid = a.attnum
        where a.attrelid = s.pgt_relid and a.attname = '__pgt_row_id'
      ) as place
      where case
        when pg_catalog.pg_input_is_valid(place.comment, 'jsonb')
          then jsonb_typeof(place.comment::jsonb -> 'dbt_project') = 'string' and jsonb_typeof(place.comment::jsonb -> 'unique_id') = 'string'
      end
      order by place.nth
      limit 1
    ),
    'stored_columns', (
      select coalesce(jsonb_agg(jsonb_build_object('name', a.attname, 'type', t.typname) order by a.attnum), '[]')
      from pg_catalog.pg_attribute as a
      join pg_catalog.pg_type as t on t.oid = a.atttypid
      where a.attrelid = s.pgt_relid and a.attnum > 0 and not a.attisdropped and a.attname <> '__pgt_row_id'
    ),
    'storage', jsonb_build_object(
      'oid', s.pgt_relid::bigint,
      'rows', (select c.reltuples::bigint from pg_catalog.pg_class as c where c.oid = s.pgt_relid and c.reltuples >= 0),
      'lost_source', exists (
        select from pgtrickle.pgt_dependencies as d
        where d.pgt_id = s.pgt_id and not exists (select from pg_catalog.pg_class as c where c.oid = d.source_relid)
      ),
      'views', (
        with recursive reader as (
          select r.ev_class as oid, d.refobjid, d.refobjsubid
          from pg_catalog.pg_depend as d
          join pg_catalog.pg_rewrite as r on r.oid = d.objid
          where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
            and d.refobjid = s.pgt_relid
          union
          select r.ev_class, d.refobjid, 0
          from reader
          join pg_catalog.pg_depend as d on d.refobjid = reader.oid and d.refclassid = 'pg_catalog.pg_class'::regclass
          join pg_catalog.pg_rewrite as r on r.oid = d.objid and r.ev_class <> reader.oid
          where d.classid = 'pg_catalog.pg_rewrite'::regclass
        )
        select coalesce(jsonb_agg(jsonb_build_object('relation', v.relation, 'columns', v.columns) order by v.relation ->> 'schema', v.relation ->> 'name'), '[]')
        from (
          select
            jsonb_build_object('schema', n.nspname, 'name', c.relname) as relation,
            coalesce(jsonb_agg(distinct a.attname) filter (where a.attname is not null), '[]') as columns
          from reader
          join pg_catalog.pg_class as c on c.oid = reader.oid
          join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
          left join pg_catalog.pg_attribute as a
            on a.attrelid = s.pgt_relid and reader.refobjid = s.pgt_relid and a.attnum = reader.refobjsubid and a.attnum > 0
          group by 1
        ) as v
      ),
      'grants', (
        select coalesce(jsonb_agg(g.who || ': ' || g.what order by g.who), '[]')
        from (
          select coalesce(r.rolname, 'PUBLIC') as who, string_agg(acl.privilege_type, ', ' order by acl.privilege_type) as what
          from pg_catalog.pg_class as c
          cross join lateral pg_catalog.aclexplode(c.relacl) as acl
          left join pg_catalog.pg_roles as r on r.oid = acl.grantee
          where c.oid = s.pgt_relid and acl.grantee <> c.relowner
          group by 1
        ) as g
      ),
      -- Owner, grants and comments. A column may not exist afterwards.
      'restore_statements', (
        select coalesce(jsonb_agg(r.statement order by r.place, r.statement), '[]')
        from (
          select 1 as place, format('alter table %I.%I owner to %I', s.pgt_schema, s.pgt_name, pg_catalog.pg_get_userbyid(c.relowner)) as statement
          from pg_catalog.pg_class as c
          where c.oid = s.pgt_relid
          union all
          select 2, format('grant %s on %I.%I to %s%s', acl.privilege_type, s.pgt_schema, s.pgt_name,
            case when acl.grantee = 0 then 'public' else format('%I', pg_catalog.pg_get_userbyid(acl.grantee)) end,
            case when acl.is_grantable then ' with grant option' else '' end)
          from pg_catalog.pg_class as c
          cross join lateral pg_catalog.aclexplode(c.relacl) as acl
          where c.oid = s.pgt_relid and acl.grantee <> c.relowner
          union all
          select 3, format('comment on table %I.%I is %L', s.pgt_schema, s.pgt_name, o.description)
          from pg_catalog.pg_description as o
          where o.classoid = 'pg_catalog.pg_class'::regclass and o.objoid = s.pgt_relid and o.objsubid = 0
          union all
          select 4, format('do %L', format('begin if exists (select from pg_catalog.pg_attribute where attrelid = %L::regclass and attname = %L and not attisdropped) then %s; end if; end',
            format('%I.%I', s.pgt_schema, s.pgt_name), a.attname, column_part.statement))
          from pg_catalog.pg_attribute as a
          cross join lateral (
            select format('grant %s (%I) on %I.%I to %s%s', acl.privilege_type, a.attname, s.pgt_schema, s.pgt_name,
              case when acl.grantee = 0 then 'public' else format('%I', pg_catalog.pg_get_userbyid(acl.grantee)) end,
              case when acl.is_grantable then ' with grant option' else '' end) as statement
            from pg_catalog.aclexplode(a.attacl) as acl
            union all
            select format('comment on column %I.%I.%I is %L', s.pgt_schema, s.pgt_name, a.attname, o.description)
            from pg_catalog.pg_description as o
            where o.classoid = 'pg_catalog.pg_class'::regclass and o.objoid = a.attrelid and o.objsubid = a.attnum
              and not coalesce(case
                when pg_catalog.pg_input_is_valid(o.description, 'jsonb')
                  then jsonb_typeof(o.description::jsonb -> 'dbt_project') = 'string' and jsonb_typeof(o.description::jsonb -> 'unique_id') = 'string'
              end, false)
          ) as column_part
          where a.attrelid = s.pgt_relid and a.attnum > 0 and not a.attisdropped
        ) as r
      ),
      -- The engine creates its own indexes in the transaction that creates the table.
      'indexes', (
        select coalesce(jsonb_agg(c.relname order by c.relname), '[]')
        from pg_catalog.pg_index as i
        join pg_catalog.pg_class as c on c.oid = i.indexrelid
        join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attname = '__pgt_row_id'
        where i.indrelid = s.pgt_relid and i.xmin <> a.xmin and i.indkey[0] <> a.attnum
      ),
      'publications', (
        select coalesce(jsonb_agg(p.pubname order by p.pubname), '[]')
        from pg_catalog.pg_publication_rel as r
        join pg_catalog.pg_publication as p on p.oid = r.prpubid
        where r.prrelid = s.pgt_relid
      )
    ),
    'upstream', (
      select coalesce(jsonb_agg(jsonb_build_object('schema', u.pgt_schema, 'name', u.pgt_name) order by u.pgt_schema, u.pgt_name), '[]')
      from pgtrickle.pgt_dependencies as d
      join pgtrickle.pgt_stream_tables as u on u.pgt_relid = d.source_relid
      where d.pgt_id = s.pgt_id
    )
  )
  order by s.pgt_schema, s.pgt_name
), '[]')::text
from pgtrickle.pgt_stream_tables as s

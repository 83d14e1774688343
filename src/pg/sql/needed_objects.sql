-- The statements that create those of these objects that are no tables, each with its name: schemas, extensions, and then
-- collations, types and functions, older ones first. What belongs to an extension comes with it.
with given as materialized (
  select (o ->> 0)::oid as class, (o ->> 1)::oid as oid from jsonb_array_elements($objects) as o
  union
  -- and what the functions need
  select refclassid, refobjid from pg_catalog.pg_depend
  where classid = 'pg_catalog.pg_proc'::regclass and objid = any ($functions)
), own as materialized (
  select class, oid from given
  where not exists (
    select from pg_catalog.pg_depend as d where d.classid = given.class and d.objid = given.oid and d.deptype = 'e'
  )
), columns as (
  select a.attrelid, string_agg(
    pg_catalog.quote_ident(a.attname) || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod), ', ' order by a.attnum
  ) as list
  from pg_catalog.pg_attribute as a where a.attnum > 0 and not a.attisdropped group by a.attrelid
), made (place, oid, name, sql) as (
  select 0, n.oid, n.nspname, 'create schema if not exists "' || replace(n.nspname, '"', '""') || '"'
  from own join pg_catalog.pg_namespace as n on n.oid = own.oid and own.class = 'pg_catalog.pg_namespace'::regclass
  union all
  select 1, e.oid, null, format('create extension if not exists %I schema %I', e.extname, n.nspname)
  from given join pg_catalog.pg_extension as e on e.oid = given.oid and given.class = 'pg_catalog.pg_extension'::regclass
  join pg_catalog.pg_namespace as n on n.oid = e.extnamespace
  where e.extname <> 'pg_trickle'
  union all
  select 2, c.oid, c.collname, format(
    'create collation if not exists %I.%I (%s)', n.nspname, c.collname,
    concat_ws(
      ', ', 'provider = ' || case c.collprovider when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end,
      'locale = ' || quote_literal(c.colllocale), 'lc_collate = ' || quote_literal(c.collcollate),
      'lc_ctype = ' || quote_literal(c.collctype), case when not c.collisdeterministic then 'deterministic = false' end,
      'rules = ' || quote_literal(c.collicurules)
    )
  )
  from own join pg_catalog.pg_collation as c on c.oid = own.oid and own.class = 'pg_catalog.pg_collation'::regclass
  join pg_catalog.pg_namespace as n on n.oid = c.collnamespace
  union all
  select 2, t.oid, t.typname, case t.typtype
    when 'e' then format(
      'create type %s as enum (%s)', pg_catalog.format_type(t.oid, null),
      (select string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder) from pg_catalog.pg_enum as e where e.enumtypid = t.oid)
    )
    when 'd' then concat(
      format('create domain %s as %s', pg_catalog.format_type(t.oid, null), pg_catalog.format_type(t.typbasetype, t.typtypmod)),
      (
        select format(' collate %I.%I', n.nspname, c.collname)
        from pg_catalog.pg_collation as c join pg_catalog.pg_namespace as n on n.oid = c.collnamespace
        where c.oid = t.typcollation and t.typcollation <> (select b.typcollation from pg_catalog.pg_type as b where b.oid = t.typbasetype)
      ),
      case when t.typnotnull then ' not null' end,
      (
        select string_agg(' ' || pg_catalog.pg_get_constraintdef(k.oid), '' order by k.conname)
        from pg_catalog.pg_constraint as k where k.contypid = t.oid and k.contype = 'c'
      )
    )
    when 'c' then format('create type %s as (%s)', pg_catalog.format_type(t.oid, null), (select list from columns where attrelid = t.typrelid))
    when 'r' then format(
      'create type %s as range (subtype = %s%s, multirange_type_name = %s)', pg_catalog.format_type(t.oid, null),
      pg_catalog.format_type(r.rngsubtype, null),
      (
        select format(', collation = %I.%I', n.nspname, c.collname)
        from pg_catalog.pg_collation as c join pg_catalog.pg_namespace as n on n.oid = c.collnamespace where c.oid = r.rngcollation
      ),
      pg_catalog.format_type(r.rngmultitypid, null)
    )
  end
  from own join pg_catalog.pg_type as t on t.oid = own.oid and own.class = 'pg_catalog.pg_type'::regclass
  left join pg_catalog.pg_range as r on r.rngtypid = t.oid
  where t.typtype in ('e', 'd', 'r')
    or t.typtype = 'c' and (select c.relkind = 'c' from pg_catalog.pg_class as c where c.oid = t.typrelid)
  union all
  -- not those that read tables, which are created after them
  select 2, p.oid, p.proname, pg_catalog.pg_get_functiondef(p.oid)
  from own join pg_catalog.pg_proc as p on p.oid = own.oid and own.class = 'pg_catalog.pg_proc'::regclass and p.prokind = 'f'
  join pg_catalog.pg_language as l on l.oid = p.prolang and l.lanname in ('sql', 'plpgsql')
  where not exists (
    select from pg_catalog.pg_depend as d
    where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.refclassid = 'pg_catalog.pg_class'::regclass
  )
)
select coalesce(jsonb_agg(jsonb_build_object('name', name, 'sql', sql) order by place, oid), '[]')::text from made

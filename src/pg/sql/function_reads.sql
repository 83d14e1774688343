-- The functions in SQL and PL/pgSQL that these queries call, directly, in views, or in other functions, and the relations
-- that those may read.
with recursive asked as materialized (
  select relation, lower(sql) as text, reads from jsonb_to_recordset($queries) as asked (relation jsonb, sql text, reads jsonb)
), own_functions as materialized (
  select p.oid, n.nspname, p.proname, p.proconfig, p.prosqlbody is not null as is_parsed,
    case when p.prosqlbody is null then p.prosrc end as source,
    lower(coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)) as text
  from pg_proc as p
  join pg_language as l on l.oid = p.prolang and l.lanname in ('sql', 'plpgsql')
  join pg_namespace as n on n.oid = p.pronamespace
    and n.nspname not in (
      'pg_catalog', 'information_schema', 'pgtrickle',
      coalesce(nullif(pg_catalog.current_setting('pg_trickle.change_buffer_schema', true), ''), 'pgtrickle_changes')
    )
  where not exists (
    select from pg_depend as d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
  )
), called (schema, name, by_query, by_function) as (
  -- what a text calls by its name
  select distinct nullif(call[1], ''), call[2], texts.relation, texts.oid
  from (select relation, null::oid, text from asked union all select null, oid, text from own_functions) as texts (relation, oid, text)
  cross join lateral regexp_matches(
    texts.text, '(?:([a-z_][a-z0-9_$]*)"?\s*\.\s*)?"?([a-z_][a-z0-9_$]*)"?\s*\(', 'g'
  ) as call
), calls (by_query, by_function, oid) as materialized (
  select called.by_query, called.by_function, f.oid
  from called
  join own_functions as f on f.proname = called.name and (
    f.nspname = called.schema
    or called.schema is null and not exists (
      select from pg_proc as p where p.proname = called.name and p.pronamespace = 'pg_catalog'::regnamespace
    )
  )
), used (relation, class, oid) as (
  select by_query, 'pg_proc'::regclass, oid from calls where by_query is not null
  union
  select asked.relation, 'pg_class'::regclass, c.oid
  from asked
  cross join lateral jsonb_to_recordset(asked.reads) as read (schema text, name text)
  join pg_namespace as n on n.nspname = read.schema
  join pg_class as c on c.relnamespace = n.oid and c.relname = read.name and c.relkind = 'v'
  union
  select used.relation, below.class, below.oid
  from used
  cross join lateral (
    select d.refclassid, d.refobjid
    from pg_rewrite as r
    join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    where used.class = 'pg_class'::regclass and r.ev_class = used.oid and r.rulename = '_RETURN'
      and (
        d.refclassid = 'pg_proc'::regclass
        or d.refclassid = 'pg_class'::regclass and (select c.relkind from pg_class as c where c.oid = d.refobjid) = 'v'
      )
    union all
    select 'pg_proc'::regclass, calls.oid
    from calls where used.class = 'pg_proc'::regclass and calls.by_function = used.oid
  ) as below (class, oid)
), functions as materialized (
  select distinct f.* from used join own_functions as f using (oid) where used.class = 'pg_proc'::regclass
), relations as materialized (
  -- the relations that a function may name
  select c.oid, c.relkind, jsonb_build_object('schema', n.nspname, 'name', c.relname) as relation
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
    and n.nspname not in (
      'pg_catalog', 'information_schema', 'pgtrickle',
      coalesce(nullif(pg_catalog.current_setting('pg_trickle.change_buffer_schema', true), ''), 'pgtrickle_changes')
    ) and n.nspname !~ '^pg_'
  where c.relkind in ('r', 'p', 'v', 'm', 'f')
    and (
      exists (select from functions as f where strpos(f.text, lower(c.relname)) > 0)
      or exists (
        select from functions as f
        join pg_depend as d on d.classid = 'pg_proc'::regclass and d.objid = f.oid
          and d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid
      )
    )
), tables (root, oid) as (
  -- itself, or the tables that a view reads
  select oid, oid from relations
  union
  select tables.root, d.refobjid
  from tables
  join pg_rewrite as r on r.ev_class = tables.oid and r.rulename = '_RETURN'
  join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
  join pg_class as c on c.oid = tables.oid and c.relkind = 'v'
)
select jsonb_build_object(
  'calls', (
    select coalesce(jsonb_agg(distinct jsonb_build_array(used.relation, used.oid::bigint)), '[]')
    from used join functions using (oid) where used.class = 'pg_proc'::regclass
  ),
  'functions', (
    select coalesce(jsonb_agg(jsonb_build_object(
      'oid', f.oid::bigint, 'schema', f.nspname, 'name', f.proname, 'source', f.source,
      'search_path', (
        select string_agg(substr(setting, 13), ',') from unnest(f.proconfig) as setting where setting like 'search\_path=%'
      ),
      'definition', pg_get_functiondef(f.oid),
      'reads', (
        select coalesce(jsonb_agg(distinct r.relation), '[]')
        from pg_depend as d join relations as r on r.oid = d.refobjid
        where f.is_parsed and d.classid = 'pg_proc'::regclass and d.objid = f.oid and d.refclassid = 'pg_class'::regclass
      )
    ) order by f.oid), '[]')
    from functions as f
  ),
  'relations', (
    select coalesce(jsonb_agg(jsonb_build_object(
      'relation', r.relation,
      'tables', (
        select coalesce(jsonb_agg(jsonb_build_object('schema', n.nspname, 'name', c.relname) order by n.nspname, c.relname), '[]')
        from tables as t
        join pg_class as c on c.oid = t.oid and c.relkind <> 'v'
        join pg_namespace as n on n.oid = c.relnamespace and n.nspname not in ('pg_catalog', 'information_schema')
        where t.root = r.oid
      ),
      'views', (
        select coalesce(jsonb_agg(jsonb_build_array(c.oid::bigint, format(
          'create or replace view %I.%I as %s', n.nspname, c.relname, rtrim(pg_get_viewdef(c.oid), ';')
        ))), '[]')
        from tables as t
        join pg_class as c on c.oid = t.oid and c.relkind = 'v'
        join pg_namespace as n on n.oid = c.relnamespace and n.nspname not in ('pg_catalog', 'information_schema')
        where t.root = r.oid
      )
    ) order by r.relation::text), '[]')
    from relations as r
  )
)::text

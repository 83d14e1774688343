-- Every stream table with the facts needed to compare it with its query: the columns of the query, and how to compare the
-- values of each. A type without `=` is compared as text.
with recursive own_functions as materialized (
  select p.oid, p.proname, lower(coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc)) as text
  from pg_catalog.pg_proc as p
  join pg_catalog.pg_language as l on l.oid = p.prolang and l.lanname in ('sql', 'plpgsql')
  join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    and n.nspname not in (
      'pg_catalog', 'information_schema', 'pgtrickle',
      coalesce(nullif(pg_catalog.current_setting('pg_trickle.change_buffer_schema', true), ''), 'pgtrickle_changes')
    )
), named (pgt_id, class, oid) as (
  -- the views that a query names, and the functions that are called by such a name in its text
  select d.pgt_id, 'pg_catalog.pg_class'::regclass, c.oid
  from pgtrickle.pgt_dependencies as d join pg_catalog.pg_class as c on c.oid = d.source_relid and c.relkind = 'v'
  union all
  select s.pgt_id, 'pg_catalog.pg_proc'::regclass, f.oid
  from pgtrickle.pgt_stream_tables as s
  cross join lateral pg_catalog.regexp_matches(
    lower(coalesce(s.original_query, s.defining_query)), '([a-z_][a-z0-9_$]*)"?\s*\(', 'g'
  ) as word
  join own_functions as f on f.proname = word[1]
), used (pgt_id, class, oid) as (
  select pgt_id, class, oid from named
  union
  select used.pgt_id, below.class, below.oid
  from used
  cross join lateral (
    select d.refclassid, d.refobjid
    from pg_catalog.pg_rewrite as r
    join pg_catalog.pg_depend as d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
    where used.class = 'pg_catalog.pg_class'::regclass and r.ev_class = used.oid
      and (
        d.refclassid = 'pg_catalog.pg_proc'::regclass
        or exists (select from pg_catalog.pg_class as c where c.oid = d.refobjid and c.relkind = 'v' and d.refclassid = 'pg_catalog.pg_class'::regclass)
      )
    union all
    select 'pg_catalog.pg_proc'::regclass, called.oid
    from own_functions as f
    cross join lateral pg_catalog.regexp_matches(f.text, '([a-z_][a-z0-9_$]*)"?\s*\(', 'g') as word
    join own_functions as called on called.proname = word[1]
    where used.class = 'pg_catalog.pg_proc'::regclass and f.oid = used.oid
  ) as below (class, oid)
), types as materialized (
  select t.oid, t.typcategory, t.typelem, t.typtype in ('e', 'r', 'm') or exists (
    select from pg_catalog.pg_opclass as o
    join pg_catalog.pg_am as m on m.oid = o.opcmethod and m.amname = 'btree'
    where o.opcdefault and (o.opcintype = t.oid or exists (
      select from pg_catalog.pg_cast as c
      where c.castsource = t.oid and c.casttarget = o.opcintype and c.castmethod = 'b' and c.castcontext = 'i'
    ))
  ) as has_equality
  from pg_catalog.pg_type as t
), buffers as (
  select coalesce(nullif(pg_catalog.current_setting('pg_trickle.change_buffer_schema', true), ''), 'pgtrickle_changes') as schema
)
select coalesce(jsonb_agg(
  jsonb_build_object(
    'id', s.pgt_id,
    'relation', jsonb_build_object('schema', s.pgt_schema, 'name', s.pgt_name),
    'query', coalesce(s.original_query, s.defining_query),
    'uses', (
      select coalesce(jsonb_agg(jsonb_build_object('name', text.name, 'text', text.text) order by text.name), '[]')
      from (
        select format('the view %s', c.oid::regclass) as name, pg_catalog.pg_get_viewdef(c.oid) as text
        from used join pg_catalog.pg_class as c on c.oid = used.oid
        where used.pgt_id = s.pgt_id and used.class = 'pg_catalog.pg_class'::regclass
        union all
        select format('the function %s', f.oid::regproc), f.text
        from used join own_functions as f using (oid)
        where used.pgt_id = s.pgt_id and used.class = 'pg_catalog.pg_proc'::regclass
      ) as text
    ),
    'is_populated', s.is_populated,
    'waiting', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'buffer', jsonb_build_object('schema', (select schema from buffers), 'name', buffer.name), 'source', buffer.source
      )), '[]')
      from pgtrickle.pgt_dependencies as d
      left join pgtrickle.pgt_change_tracking as t on t.source_relid = d.source_relid
      left join pgtrickle.pgt_stream_tables as u on u.pgt_relid = d.source_relid
      cross join lateral (values
        ('changes_' || t.source_stable_name, d.source_relid::text), ('changes_pgt_' || u.pgt_id, 'pgt_' || u.pgt_id)
      ) as buffer (name, source)
      -- A source that is compared with a copy has waiting changes only while a refresh compares it.
      -- A table in ERROR takes none.
      where d.pgt_id = s.pgt_id and s.status not in ('ERROR', 'SUSPENDED') and s.refresh_mode <> 'IMMEDIATE' and d.source_type not in ('MATVIEW', 'FOREIGN_TABLE')
        and pg_catalog.to_regclass((select quote_ident(schema) from buffers) || '.' || quote_ident(buffer.name)) is not null
    ),
    'with_ties', case
      when to_jsonb(s) ->> 'topk_limit' is not null then concat(
        s.defining_query, E'\norder by ', to_jsonb(s) ->> 'topk_order_by',
        ' offset ', coalesce(to_jsonb(s) ->> 'topk_offset', '0'),
        ' fetch first ', to_jsonb(s) ->> 'topk_limit', ' rows with ties'
      )
    end,
    'columns', (
      select coalesce(jsonb_agg(jsonb_build_object('name', a.attname, 'kind', case
        when base.oid in ('pg_catalog.float4'::regtype, 'pg_catalog.float8'::regtype) then 'float'
        when base.oid in ('pg_catalog.json'::regtype, 'pg_catalog.jsonb'::regtype) then 'json'
        when base.typcategory = 'A' and element.has_equality then 'array'
        when not base.has_equality then 'opaque'
        when base.typcategory = 'S' then 'text'
        else 'exact'
      end) order by a.attnum), '[]')
      from pg_catalog.pg_attribute as a
      cross join lateral (
        with recursive below as (
          select t.oid, t.typbasetype, 0 as depth from pg_catalog.pg_type as t where t.oid = a.atttypid
          union all
          select t.oid, t.typbasetype, below.depth + 1
          from below join pg_catalog.pg_type as t on t.oid = below.typbasetype
        )
        select t.oid, t.typcategory, t.typelem, t.has_equality
        from below join types as t using (oid) order by below.depth desc limit 1
      ) as base
      left join types as element on element.oid = base.typelem
      where a.attrelid = s.pgt_relid and a.attnum > 0 and not a.attisdropped and a.attname not like '\_\_pgt\_%'
    )
  )
  order by s.pgt_schema, s.pgt_name
), '[]')::text
from pgtrickle.pgt_stream_tables as s

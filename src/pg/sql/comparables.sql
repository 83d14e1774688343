-- Every stream table with the facts needed to compare it with its query: the columns of the query, and how to compare the
-- values of each. A type without `=` is compared as text.
with types as materialized (
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
    'relation', jsonb_build_object('schema', s.pgt_schema, 'name', s.pgt_name),
    'query', coalesce(s.original_query, s.defining_query),
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
      where d.pgt_id = s.pgt_id and s.refresh_mode <> 'IMMEDIATE'
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

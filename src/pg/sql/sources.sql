-- Every relation that a stream table reads and that is not a stream table, with everything needed to change its rows and to
-- create it in another database.
with recursive called as materialized (
  -- what queries read through functions
  select distinct c.oid, read.reader
  from jsonb_to_recordset($hidden) as read (reader jsonb, schema text, name text)
  join pg_catalog.pg_namespace as n on n.nspname = read.schema
  join pg_catalog.pg_class as c on c.relnamespace = n.oid and c.relname = read.name
  where c.oid not in (select pgt_relid from pgtrickle.pgt_stream_tables)
), direct as materialized (
  select d.source_relid as oid, jsonb_build_object('schema', s.pgt_schema, 'name', s.pgt_name) as reader,
    s.refresh_mode = 'IMMEDIATE' as at_once
  from pgtrickle.pgt_dependencies as d
  join pgtrickle.pgt_stream_tables as s on s.pgt_id = d.pgt_id
  where d.source_type <> 'STREAM_TABLE'
  union
  select oid, reader, false from called
), below as materialized (
  -- what each view reads itself
  select w.ev_class as view, r.oid, r.relkind
  from pg_catalog.pg_rewrite as w
  join pg_catalog.pg_depend as d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid
    and d.refclassid = 'pg_catalog.pg_class'::regclass
  join pg_catalog.pg_class as r on r.oid = d.refobjid and r.relkind in ('r', 'p', 'v', 'm', 'f') and r.oid >= 16384
  join pg_catalog.pg_namespace as n on n.oid = r.relnamespace and n.nspname not in ('pgtrickle', 'pgtrickle_changes')
  where w.rulename = '_RETURN'
), behind (view, oid) as (
  -- and through other views
  select oid, oid from pg_catalog.pg_class where relkind in ('v', 'm') and oid >= 16384
  union
  select behind.view, below.oid from behind join below on below.view = behind.oid
), over_stream_tables as materialized (
  select view as oid from behind where oid in (select pgt_relid from pgtrickle.pgt_stream_tables)
), snapshots as materialized (
  select oid from pg_catalog.pg_class where relkind = 'm'
), unmaintained as materialized (
  -- those that this role may not refresh, or one that they read
  select distinct behind.view as oid from behind
  where behind.oid in (select oid from snapshots) and not pg_catalog.has_table_privilege(behind.oid, 'maintain')
), followed as materialized (
  -- The materialized views that queries read, but not where an IMMEDIATE table reads one on the way, which follows no refresh
  -- of it (docs/pg_trickle.md, "Materialized views and foreign tables").
  select oid from snapshots
  where $follows and oid in (select oid from direct)
    and oid not in (select oid from over_stream_tables) and oid not in (select oid from unmaintained)
    and not exists (
      select from behind join direct on direct.oid = behind.oid and direct.at_once
      where behind.view = snapshots.oid and behind.oid in (select oid from snapshots)
    )
), refreshed as materialized (
  -- they, and those behind them
  select behind.oid from behind where behind.view in (select oid from followed) and behind.oid in (select oid from snapshots)
), inlined (oid, reader) as (
  -- the views below the views that queries read
  select direct.oid, direct.reader
  from direct join pg_catalog.pg_class as c on c.oid = direct.oid and c.relkind = 'v'
  union
  select below.oid, inlined.reader from inlined join below on below.view = inlined.oid and below.relkind = 'v'
), hidden as materialized (
  select oid, reader from called
  union
  select oid, reader from inlined
  union
  select behind.oid, direct.reader
  from followed join behind on behind.view = followed.oid join direct on direct.oid = followed.oid
), read as materialized (
  select oid from direct union select oid from hidden
), columns as materialized (
  select attrelid, attnum, row_number() over (partition by attrelid order by attnum) as nth
  from pg_catalog.pg_attribute
  where attrelid in (select oid from read)
    and attnum > 0 and not attisdropped
), bases (domain, oid) as (
  -- the base types of domains over domains
  select oid, typbasetype from pg_catalog.pg_type where typtype = 'd'
  union all
  select bases.domain, t.typbasetype
  from bases join pg_catalog.pg_type as t on t.oid = bases.oid and t.typtype = 'd'
)
select coalesce(jsonb_agg(
  jsonb_build_object(
    'relation', jsonb_build_object('schema', n.nspname, 'name', c.relname),
    'columns', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'name', a.attname,
        'type_name', pg_catalog.format_type(a.atttypid, a.atttypmod),
        'kind', case
          when base.typcategory = 'A' then 'array'
          when base.typtype = 'e' then 'enum'
          when base.oid in ('pg_catalog.int2'::regtype, 'pg_catalog.int4'::regtype, 'pg_catalog.int8'::regtype) then 'integer'
          when base.oid = 'pg_catalog.numeric'::regtype then 'numeric'
          when base.oid in ('pg_catalog.float4'::regtype, 'pg_catalog.float8'::regtype) then 'float'
          when base.oid in ('pg_catalog.text'::regtype, 'pg_catalog.varchar'::regtype, 'pg_catalog.bpchar'::regtype) then 'text'
          when base.oid = 'pg_catalog.bool'::regtype then 'boolean'
          when base.oid = 'pg_catalog.date'::regtype then 'date'
          when base.oid in ('pg_catalog.timestamp'::regtype, 'pg_catalog.timestamptz'::regtype) then 'timestamp'
          when base.oid = 'pg_catalog.uuid'::regtype then 'uuid'
          when base.oid in ('pg_catalog.json'::regtype, 'pg_catalog.jsonb'::regtype) then 'json'
          when base.oid = 'pg_catalog.bytea'::regtype then 'bytes'
          else 'other'
        end,
        'collation', (
          select format('%I.%I', cn.nspname, l.collname)
          from pg_catalog.pg_collation as l join pg_catalog.pg_namespace as cn on cn.oid = l.collnamespace
          where l.oid = a.attcollation and a.attcollation <> t.typcollation
        ),
        'type', jsonb_build_object('oid', a.atttypid::bigint, 'typmod', a.atttypmod),
        'bounded', t.typtype = 'd' or exists (
          select from pg_catalog.pg_constraint as k
          where k.conrelid = c.oid and k.contype = 'c' and a.attnum = any (k.conkey)
        ),
        'not_null', a.attnotnull or t.typnotnull,
        'generated', case when a.attgenerated <> '' then pg_catalog.pg_get_expr(d.adbin, d.adrelid) end,
        'always', a.attidentity = 'a',
        'labels', (
          select coalesce(jsonb_agg(e.enumlabel order by e.enumsortorder), '[]')
          from pg_catalog.pg_enum as e where e.enumtypid = base.oid
        ),
        'size', case
          when a.atttypmod > 4 and base.oid in ('pg_catalog.varchar'::regtype, 'pg_catalog.bpchar'::regtype) then a.atttypmod - 4
          when a.atttypmod > 4 and base.oid = 'pg_catalog.numeric'::regtype then (a.atttypmod - 4) >> 16
        end,
        'scale', case when a.atttypmod > 4 and base.oid = 'pg_catalog.numeric'::regtype then (a.atttypmod - 4) & 2047 end
      ) order by a.attnum), '[]')
      from pg_catalog.pg_attribute as a
      join pg_catalog.pg_type as t on t.oid = a.atttypid
      join pg_catalog.pg_type as base on base.oid = case t.typtype
        when 'd' then (
          select bases.oid from bases join pg_catalog.pg_type as b on b.oid = bases.oid and b.typtype <> 'd'
          where bases.domain = t.oid
        )
        else t.oid
      end
      left join pg_catalog.pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ),
    'key', (
      select coalesce(jsonb_agg(place.nth - 1 order by k.nth), '[]')
      from pg_catalog.pg_index as i
      cross join lateral unnest(i.indkey::int2[]) with ordinality as k (attnum, nth)
      join columns as place on place.attrelid = c.oid and place.attnum = k.attnum
      where i.indrelid = c.oid and i.indisprimary
    ),
    'references', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'columns', (
          select jsonb_agg(place.nth - 1 order by k.nth)
          from unnest(f.conkey) with ordinality as k (attnum, nth)
          join columns as place on place.attrelid = c.oid and place.attnum = k.attnum
        ),
        'target', jsonb_build_object('schema', tn.nspname, 'name', tc.relname),
        'target_columns', (
          select jsonb_agg(ta.attname order by k.nth)
          from unnest(f.confkey) with ordinality as k (attnum, nth)
          join pg_catalog.pg_attribute as ta on ta.attrelid = f.confrelid and ta.attnum = k.attnum
        ),
        'clause', pg_catalog.pg_get_constraintdef(f.oid)
      ) order by f.conname), '[]')
      from pg_catalog.pg_constraint as f
      join pg_catalog.pg_class as tc on tc.oid = f.confrelid
      join pg_catalog.pg_namespace as tn on tn.oid = tc.relnamespace
      where f.conrelid = c.oid and f.contype = 'f' and f.conparentid = 0
    ),
    'rules', (
      select coalesce(jsonb_agg(rule order by rule), '[]')
      from (
        select pg_catalog.pg_get_constraintdef(k.oid) as rule
        from pg_catalog.pg_constraint as k where k.conrelid = c.oid and k.contype in ('u', 'c', 'x')
        union all
        select pg_catalog.pg_get_indexdef(i.indexrelid)
        from pg_catalog.pg_index as i
        where i.indrelid = c.oid and i.indisunique and not i.indisprimary
          and not exists (select from pg_catalog.pg_constraint as k where k.conindid = i.indexrelid)
      ) as rules
    ),
    'constraints', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'name', k.name,
        'kind', k.kind,
        'columns', (
          select coalesce(jsonb_agg(place.nth - 1 order by place.nth), '[]') from columns as place
          where place.attrelid = c.oid and place.attnum = any (k.columns)
        ),
        'condition', k.condition
      ) order by k.name), '[]')
      from (
        select conname as name, contype::text as kind,
          case when contype = 'c' then pg_catalog.pg_get_expr(conbin, conrelid) end as condition,
          case when contype = 'x' then array(
            select refobjsubid::int2 from pg_catalog.pg_depend
            where classid = 'pg_catalog.pg_class'::regclass and objid = conindid
              and refclassid = 'pg_catalog.pg_class'::regclass and refobjid = c.oid
          ) end || conkey as columns
        from pg_catalog.pg_constraint where conrelid = c.oid and contype in ('c', 'f', 'p', 'u', 'x')
        union all
        -- of an expression or partial index only the columns are known
        select ic.relname, case when i.indexprs is null and i.indpred is null then 'u' else 'i' end, null, array(
          select refobjsubid::int2 from pg_catalog.pg_depend
          where classid = 'pg_catalog.pg_class'::regclass and objid = ic.oid
            and refclassid = 'pg_catalog.pg_class'::regclass and refobjid = c.oid
        )
        from pg_catalog.pg_index as i join pg_catalog.pg_class as ic on ic.oid = i.indexrelid
        where i.indrelid = c.oid and i.indisunique
          and not exists (select from pg_catalog.pg_constraint as k where k.conindid = i.indexrelid)
      ) as k
    ),
    'partitioned', case when c.relkind = 'p' then pg_catalog.pg_get_partkeydef(c.oid) end,
    'partition_key', (
      select coalesce(jsonb_agg(place.nth - 1 order by k.nth), '[]')
      from pg_catalog.pg_partitioned_table as p
      cross join lateral unnest(p.partattrs::int2[]) with ordinality as k (attnum, nth)
      join columns as place on place.attrelid = c.oid and place.attnum = k.attnum
      where p.partrelid = c.oid
    ),
    -- only of a key of columns, and if none of them has partitions of its own
    'partitions', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'relation', jsonb_build_object('schema', pn.nspname, 'name', part.relname),
        'bound', pg_catalog.pg_get_expr(part.relpartbound, part.oid)
      ) order by part.oid), '[]')
      from pg_catalog.pg_inherits as i
      join pg_catalog.pg_class as part on part.oid = i.inhrelid
      join pg_catalog.pg_namespace as pn on pn.oid = part.relnamespace
      where i.inhparent = c.oid and c.relkind = 'p'
        and not exists (select from pg_catalog.pg_partitioned_table as p where p.partrelid = c.oid and 0 = any (p.partattrs::int2[]))
        and not exists (
          select from pg_catalog.pg_inherits as other join pg_catalog.pg_class as o on o.oid = other.inhrelid
          where other.inhparent = c.oid and o.relkind <> 'r'
        )
    ),
    'out_of_reach', case
      when c.relkind = 'f' then 'is a foreign table'
      when c.oid in (select oid from refreshed) then 'is a materialized view: its tables are changed, and it is refreshed'
      when $follows and c.oid in (select oid from snapshots) and c.oid in (select oid from over_stream_tables)
        then 'is a materialized view over a stream table, and is not refreshed'
      when $follows and c.oid in (select oid from unmaintained)
        then 'is a materialized view that this role may not refresh: grant it MAINTAIN on the view, and on those that it reads'
      when c.relkind = 'm' then 'is a materialized view'
      when c.relkind = 'v' then 'is a view: its tables are changed instead'
      when not (
        pg_catalog.has_table_privilege(c.oid, 'insert') and pg_catalog.has_table_privilege(c.oid, 'update')
        and pg_catalog.has_table_privilege(c.oid, 'delete')
      ) then 'is not writable by this role'
      when pg_catalog.row_security_active(c.oid)
        then 'hides rows from this role by row level security: grant it BYPASSRLS'
    end,
    'view', case when c.relkind = 'v' or c.oid in (select oid from refreshed) then pg_catalog.pg_get_viewdef(c.oid) end,
    'snapshot_of', case when c.oid in (select oid from refreshed) then (
      select coalesce(jsonb_agg(jsonb_build_object('schema', tn.nspname, 'name', t.relname) order by t.oid), '[]')
      from behind
      join pg_catalog.pg_class as t on t.oid = behind.oid and t.relkind in ('r', 'p')
      join pg_catalog.pg_namespace as tn on tn.oid = t.relnamespace
      where behind.view = c.oid
    ) end,
    'from_log', exists (
      select from pgtrickle.pgt_dependencies as d where d.source_relid = c.oid and d.cdc_mode <> 'TRIGGER'
    ),
    'readers', (
      select jsonb_agg(distinct readers.reader)
      from (
        select jsonb_build_object('schema', s.pgt_schema, 'name', s.pgt_name)
        from pgtrickle.pgt_dependencies as d
        join pgtrickle.pgt_stream_tables as s on s.pgt_id = d.pgt_id
        where d.source_relid = c.oid
        union all
        select hidden.reader from hidden where hidden.oid = c.oid
      ) as readers (reader)
    )
  )
  -- views after what they read
  order by (select count(*) from behind where behind.view = c.oid), c.oid
), '[]')::text
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where c.oid in (select oid from read)

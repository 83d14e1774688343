-- The tables that a changed row of a source can affect, and the effects that a rollback does not undo.
with recursive checked (what, class, object, type) as (
  -- the types with values that a domain checks: arrays, composites, ranges and domains of it, too
  select format('the domain %s', contypid::regtype), 'pg_constraint'::regclass::oid, oid, contypid
  -- but not those of information_schema
  from pg_constraint where contypid >= 16384
  union
  select checked.what, checked.class, checked.object, within.type
  from checked
  cross join lateral (
    select oid from pg_type where typbasetype = checked.type or typelem = checked.type
    union all
    select c.reltype from pg_attribute as a join pg_class as c on c.oid = a.attrelid and c.reltype <> 0
    where a.atttypid = checked.type and a.attnum > 0 and not a.attisdropped
    union all
    select unnest(array[rngtypid, rngmultitypid]) from pg_range where rngsubtype = checked.type
  ) as within (type)
), evaluated (relation, what, class, object) as (
  -- the expressions that a write evaluates
  select ad.adrelid, case a.attgenerated when '' then 'a default' else format('the generated column %I', a.attname) end,
    'pg_attrdef'::regclass, ad.oid
  from pg_attrdef as ad join pg_attribute as a on a.attrelid = ad.adrelid and a.attnum = ad.adnum
  union all
  -- also those that exclude rows by an operator
  select conrelid, format('the constraint %I', conname), 'pg_constraint'::regclass, oid
  from pg_constraint where contype in ('c', 'x') and conrelid <> 0
  union all
  select a.attrelid, checked.what, checked.class, checked.object
  from checked join pg_attribute as a on a.atttypid = checked.type and a.attnum > 0 and not a.attisdropped
  union all
  select indrelid, format('the index %s', indexrelid::regclass), 'pg_class'::regclass, indexrelid from pg_index
  union all
  select oid, 'the partition key', 'pg_class'::regclass, oid from pg_class where relkind = 'p'
  union all
  select polrelid, format('the policy %I', polname), 'pg_policy'::regclass, oid from pg_policy
  union all
  select tgrelid, format('the trigger %I', tgname), 'pg_trigger'::regclass, oid
  from pg_trigger where not tgisinternal and tgenabled <> 'D' and tgqual is not null
), acting_functions (relation, what, function) as (
  select g.tgrelid, format('the trigger %I of %s', g.tgname, g.tgrelid::regclass), g.tgfoid
  from pg_trigger as g
  where not g.tgisinternal and g.tgenabled <> 'D'
  union all
  select r.ev_class, format('the rule %I of %s', r.rulename, r.ev_class::regclass), d.refobjid
  from pg_rewrite as r
  join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_proc'::regclass
  where r.rulename <> '_RETURN'
  union all
  -- Whatever they are declared as: an index takes only functions that are declared IMMUTABLE. Functions in C are common
  -- here, such as those that make uuids.
  select e.relation, format('%s of %s', e.what, e.relation::regclass), p.oid
  from evaluated as e
  join pg_depend as d on d.classid = e.class and d.objid = e.object
  left join pg_operator as o on d.refclassid = 'pg_operator'::regclass and o.oid = d.refobjid
  join pg_proc as p on p.oid = case when d.refclassid = 'pg_proc'::regclass then d.refobjid else o.oprcode end
  join pg_language as l on l.oid = p.prolang
  left join pg_depend as member on member.classid = 'pg_proc'::regclass and member.objid = p.oid and member.deptype = 'e'
  left join pg_extension as x on x.oid = member.refobjid
  where l.lanname not in ('c', 'internal') or x.extname = 'dblink'
  union all
  -- and those of the operator classes that are not built in
  select i.indrelid, format('the index %s of %s', i.indexrelid::regclass, i.indrelid::regclass), support.amproc
  from pg_index as i
  cross join lateral unnest(i.indclass) as class (oid)
  join pg_opclass as c on c.oid = class.oid
  join pg_amproc as support on support.amprocfamily = c.opcfamily
  join pg_proc as p on p.oid = support.amproc
  join pg_language as l on l.oid = p.prolang and l.lanname not in ('c', 'internal')
), event_functions (what, function) as (
  select format('the event trigger %I', evtname), evtfoid from pg_event_trigger where evtenabled <> 'D'
), engine (function) as materialized (
  -- the engine's own effects belong to the transaction
  select d.objid from pg_depend as d join pg_extension as e on e.oid = d.refobjid
  where d.classid = 'pg_proc'::regclass and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
    and e.extname = 'pg_trickle'
  union
  -- its triggers' functions are no members of the extension
  select p.oid from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
  where n.nspname in (
    'pgtrickle', 'pgtrickle_changes', current_setting('pg_trickle.change_buffer_schema', true)
  )
), calls (function, called) as (
  -- each of those functions with the functions that its source mentions, recursively
  select function, function from (
    select function from acting_functions union select function from event_functions
  ) as first
  where function not in (select engine.function from engine)
  union
  select calls.function, p.oid
  from calls
  join pg_proc as caller on caller.oid = calls.called
  join pg_language as l on l.oid = caller.prolang and l.lanname in ('sql', 'plpgsql')
  cross join lateral regexp_matches(
    lower(coalesce(pg_get_function_sqlbody(caller.oid), caller.prosrc)), '[a-z_][a-z0-9_$]*', 'g'
  ) as word
  join pg_proc as p on lower(p.proname) = word[1] and p.pronamespace <> 'pg_catalog'::regnamespace
), named (function, relation) as materialized (
  -- the tables and views that the source mentions
  select distinct calls.function, c.oid
  from calls
  join pg_proc as p on p.oid = calls.called
  join pg_language as l on l.oid = p.prolang and l.lanname in ('sql', 'plpgsql')
  cross join lateral regexp_matches(
    lower(coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)), '[a-z_][a-z0-9_$]*', 'g'
  ) as word
  join pg_class as c on lower(c.relname) = word[1] and c.relkind in ('r', 'p', 'v')
  join pg_namespace as n on n.oid = c.relnamespace and n.nspname !~ '^(pg_|information_schema$|pgtrickle)'
    -- change buffers may be in any schema
    and c.relname !~ '^changes_([0-9a-f]{16}|pgt_[0-9]+)$'
), roots as materialized (
  -- the sources, and what queries read through functions
  select source_relid as oid from pgtrickle.pgt_dependencies where source_type <> 'STREAM_TABLE'
  union
  select c.oid
  from jsonb_to_recordset($hidden) as read (reader jsonb, schema text, name text)
  join pg_namespace as n on n.nspname = read.schema
  join pg_class as c on c.relnamespace = n.oid and c.relname = read.name
  where c.oid not in (select pgt_relid from pgtrickle.pgt_stream_tables)
), reach (root, oid) as (
  select oid, oid from roots
  union
  select reach.root, dragged.oid
  from reach
  cross join lateral (
    -- its partitions and children
    select inhrelid from pg_inherits where inhparent = reach.oid
    union all
    -- tables with foreign key actions
    select conrelid from pg_constraint
    where confrelid = reach.oid and contype = 'f'
      and (confdeltype in ('c', 'n', 'd') or confupdtype in ('c', 'n', 'd'))
    union all
    -- the stream tables that read it
    select s.pgt_relid from pgtrickle.pgt_dependencies as d join pgtrickle.pgt_stream_tables as s using (pgt_id)
    where d.source_relid = reach.oid
    union all
    -- the targets of its rules, and the tables of a view
    select d.refobjid
    from pg_rewrite as r
    join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
    join pg_class as c on c.oid = d.refobjid
      and (c.relkind in ('r', 'p', 'v') or c.relkind = 'f' and r.rulename = '_RETURN')
    where r.ev_class = reach.oid and (r.rulename <> '_RETURN' or reach.oid <> reach.root)
    union all
    -- relations that its triggers mention
    select named.relation from acting_functions as f join named using (function) where f.relation = reach.oid
  ) as dragged (oid)
), acting (root, what, function) as (
  select distinct reach.root, f.what, f.function from reach join acting_functions as f on f.relation = reach.oid
  union all
  select roots.oid, e.what, e.function
  from roots cross join event_functions as e
), escaping (function, why) as (
  -- their effects outside of the transaction
  select calls.function, case
    -- A function in C that declares no effects has none: unaccent, digest, those of types.
    when l.lanname not in ('sql', 'plpgsql', 'internal') and not (l.lanname = 'c' and p.provolatile <> 'v')
      then format('calls %s, which is written in %s', p.oid::regproc, l.lanname)
    -- EXECUTE, outside of comments, of anything but one literal
    when l.lanname = 'plpgsql' and regexp_replace(lower(p.prosrc), $re$^([^'\n]*)--[^'\n]*$$re$, '\1', 'gn')
      ~ $re$\mexecute\M(?!\s+(function|procedure|on)\M)(?!\s*'[^']*'\s*(;|\minto\M|\musing\M|\mloop\M))$re$
      then format('runs composed SQL in %s, whose effects are unknown', p.oid::regproc)
    else (
      select format('mentions %s', word[1])
      from regexp_matches(
        lower(coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)), '[a-z_][a-z0-9_$]*', 'g'
      ) as word
      where word[1] in (
          'copy', 'lo_export', 'pg_logical_emit_message', 'query_to_xml', 'query_to_xml_and_xmlschema', 'ts_stat'
        )
        or word[1] in (select lower(relname) from pg_class where relkind = 'f')
      limit 1
    )
  end
  from calls
  join pg_proc as p on p.oid = calls.called
  join pg_language as l on l.oid = p.prolang
  where p.oid not in (select engine.function from engine)
), escapes (root, why) as (
  select reach.root, format('its rows reach the foreign table %s', reach.oid::regclass)
  from reach join pg_class as c on c.oid = reach.oid and c.relkind = 'f' and reach.oid <> reach.root
  union
  select acting.root, format('%s %s', acting.what, min(escaping.why))
  from acting join escaping using (function) where escaping.why is not null group by acting.root, acting.what
  union
  select reach.root, format('the rule %I of %s writes to the foreign table %s', r.rulename, r.ev_class::regclass, f.oid::regclass)
  from reach
  join pg_rewrite as r on r.ev_class = reach.oid and r.rulename <> '_RETURN'
  join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
  join pg_class as f on f.oid = d.refobjid and f.relkind = 'f'
)
select jsonb_build_object(
  'escapes', (
    select coalesce(jsonb_agg(jsonb_build_object(
      'source', jsonb_build_object('schema', n.nspname, 'name', c.relname), 'why', escapes.why
    ) order by escapes.why), '[]')
    from escapes join pg_class as c on c.oid = escapes.root join pg_namespace as n on n.oid = c.relnamespace
  ),
  -- only relations with rows: a partitioned table has none
  'tables', (
    select coalesce(jsonb_agg(
      jsonb_build_object('schema', n.nspname, 'name', c.relname) order by c.relpages, c.oid
    ), '[]')
    from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where c.relkind = 'r' and c.oid in (select oid from reach)
  )
)::text

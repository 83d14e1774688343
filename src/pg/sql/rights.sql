-- The privileges that the role lacks to apply a plan, each with its object.
with recursive needs as (select $needs::jsonb as n),
as_caller (function) as (
  select proname from pg_catalog.pg_proc
  where pronamespace = pg_catalog.to_regnamespace('pgtrickle') and not prosecdef
),
-- what a table is filled from, also below views: the engine reads and captures that
filled_from (oid) as (
  select c.oid
  from needs, jsonb_to_recordset(n -> 'see_all') as w (schema text, name text)
  join pg_catalog.pg_namespace as s on s.nspname = w.schema
  join pg_catalog.pg_class as c on c.relnamespace = s.oid and c.relname = w.name
  union
  select d.refobjid
  from filled_from as view
  join pg_catalog.pg_rewrite as r on r.ev_class = view.oid
  join pg_catalog.pg_depend as d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
    and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> view.oid
  where exists (select from pg_catalog.pg_class as c where c.oid = view.oid and c.relkind = 'v')
),
sources as (
  select c.oid, c.oid::regclass::text as name,
    exists (select from pgtrickle.pgt_change_tracking as t where t.source_relid = c.oid) as is_captured
  from filled_from
  join pg_catalog.pg_class as c on c.oid = filled_from.oid and c.relkind in ('r', 'p')
  where 'create_stream_table' in (select function from as_caller)
    and not exists (select from pgtrickle.pgt_stream_tables as t where t.pgt_relid = c.oid)
)
select coalesce(jsonb_agg(jsonb_build_array(lacks, about) order by lacks, about), '[]')::text
from (
  select 'ownership' as lacks, w.schema || '.' || w.name as about
  from needs, jsonb_to_recordset(n -> 'own') as w (schema text, name text)
  join pg_catalog.pg_namespace as s on s.nspname = w.schema
  join pg_catalog.pg_class as c on c.relnamespace = s.oid and c.relname = w.name
  where not pg_catalog.pg_has_role(c.relowner, 'USAGE')
  union
  select 'CREATE', 'schema ' || w.name
  from needs, jsonb_array_elements_text(n -> 'create_in') as w (name)
  join pg_catalog.pg_namespace as s on s.nspname = w.name
  where not pg_catalog.has_schema_privilege(s.oid, 'CREATE')
  union
  select 'CREATE', 'database ' || current_database() || ', to create the schema ' || w.name
  from needs, jsonb_array_elements_text(n -> 'create_in') as w (name)
  where not exists (select from pg_catalog.pg_namespace as s where s.nspname = w.name)
    and not pg_catalog.has_database_privilege(current_database(), 'CREATE')
  union
  -- it stays when the last reader of a source is dropped, and is taken for the next
  select 'ownership', format('the change buffer %s of %s, which %s owns', b.oid::regclass, sources.name, b.relowner::regrole)
  from needs, sources
  join pg_catalog.pg_class as b on b.relname = 'changes_' || pgtrickle.source_stable_name(sources.oid)
  join pg_catalog.pg_namespace as s on s.oid = b.relnamespace
    and s.nspname = coalesce(nullif(pg_catalog.current_setting('pg_trickle.change_buffer_schema', true), ''), 'pgtrickle_changes')
  where (n -> 'buffered')::boolean and not is_captured and not pg_catalog.pg_has_role(b.relowner, 'USAGE')
  union
  -- it stays when a stream table is dropped, and is replaced with the next of the name
  select 'ownership', format('the function %I.%I, which %s owns', s.nspname, p.proname, p.proowner::regrole)
  from needs, jsonb_to_recordset(n -> 'create') as w (schema text, name text)
  join pg_catalog.pg_namespace as s on s.nspname = w.schema
  join pg_catalog.pg_proc as p on p.pronamespace = s.oid and p.proname = '_pgt_guard_' || w.name and p.pronargs = 0
  where 'create_stream_table' in (select function from as_caller) and not pg_catalog.pg_has_role(p.proowner, 'USAGE')
  union
  select 'SELECT', w.schema || '.' || w.name
  from needs, jsonb_to_recordset(n -> 'read') as w (schema text, name text)
  join pg_catalog.pg_namespace as s on s.nspname = w.schema
  join pg_catalog.pg_class as c on c.relnamespace = s.oid and c.relname = w.name and c.relkind in ('r', 'p', 'v', 'm', 'f')
  where not pg_catalog.has_any_column_privilege(c.oid, 'SELECT')
  union
  select 'SELECT', name from sources where not pg_catalog.has_any_column_privilege(oid, 'SELECT')
  union
  select 'TRIGGER', name from sources where not is_captured and not pg_catalog.has_table_privilege(oid, 'TRIGGER')
  union
  -- the engine replaces the functions of the triggers, for the columns of the new reader
  select 'ownership', format('the capture functions of %s, which %s owns', sources.name, p.proowner::regrole)
  from needs, sources
  join pg_catalog.pg_trigger as t on t.tgrelid = sources.oid and t.tgname like 'pg\_trickle\_cdc\_%'
  join pg_catalog.pg_proc as p on p.oid = t.tgfoid
  where (n -> 'buffered')::boolean and not pg_catalog.pg_has_role(p.proowner, 'USAGE')
  union
  select 'TRIGGER', w.schema || '.' || w.name
  from needs, jsonb_to_recordset(n -> 'capture') as w (schema text, name text)
  join pg_catalog.pg_namespace as s on s.nspname = w.schema
  join pg_catalog.pg_class as c on c.relnamespace = s.oid and c.relname = w.name and c.relkind in ('r', 'p')
  where not pg_catalog.has_table_privilege(c.oid, 'TRIGGER')
    and not exists (select from pgtrickle.pgt_change_tracking as t where t.source_relid = c.oid)
    and not exists (select from pgtrickle.pgt_stream_tables as t where t.pgt_relid = c.oid)
  union
  select 'EXECUTE', 'function pgtrickle.' || w.name
  from needs, jsonb_array_elements_text(n -> 'call') as w (name)
  where exists (
    select from pg_catalog.pg_proc as p
    where p.pronamespace = pg_catalog.to_regnamespace('pgtrickle') and p.proname = w.name
      and not pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
  )
  union
  select 'CREATE', 'schema pgtrickle'
  from needs
  where (n -> 'immediate')::boolean and 'create_stream_table' in (select function from as_caller)
    and not pg_catalog.has_schema_privilege('pgtrickle', 'CREATE')
  union
  select w.right, 'schema ' || s.nspname
  from needs, (values ('USAGE'), ('CREATE')) as w ("right"), pg_catalog.pg_namespace as s
  where (n -> 'buffered')::boolean and 'create_stream_table' in (select function from as_caller)
    and s.nspname = coalesce(nullif(pg_catalog.current_setting('pg_trickle.change_buffer_schema', true), ''), 'pgtrickle_changes')
    and not pg_catalog.has_schema_privilege(s.oid, w.right)
  union
  select 'membership', 'pg_monitor, to see the scheduler and other sessions'
  from needs
  where (n -> 'watch')::boolean and not pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'usage')
  union
  select 'BYPASSRLS, for the policies', w.schema || '.' || w.name
  from needs, jsonb_to_recordset(n -> 'see_all') as w (schema text, name text)
  join pg_catalog.pg_namespace as s on s.nspname = w.schema
  join pg_catalog.pg_class as c on c.relnamespace = s.oid and c.relname = w.name
  where pg_catalog.row_security_active(c.oid)
  union
  -- the triggers of IMMEDIATE tables, and those of sources that nothing else reads
  select 'ownership', c.oid::regclass::text
  from needs, jsonb_to_recordset(n -> 'release') as w (schema text, name text)
  join pgtrickle.pgt_stream_tables as t on t.pgt_schema = w.schema and t.pgt_name = w.name
  join pgtrickle.pgt_dependencies as d on d.pgt_id = t.pgt_id
  join pg_catalog.pg_class as c on c.oid = d.source_relid and c.relkind in ('r', 'p')
  where 'drop_stream_table' in (select function from as_caller) and not pg_catalog.pg_has_role(c.relowner, 'USAGE')
    and not exists (select from pgtrickle.pgt_stream_tables as own where own.pgt_relid = c.oid)
    and (t.refresh_mode = 'IMMEDIATE' or not exists (
      select from pgtrickle.pgt_dependencies as other
      join pgtrickle.pgt_stream_tables as reader on reader.pgt_id = other.pgt_id
      where other.source_relid = c.oid
        and not n -> 'release' @> jsonb_build_array(jsonb_build_object('schema', reader.pgt_schema, 'name', reader.pgt_name))
    ))
  union
  -- functions that run as their caller read and write as their caller
  select w.right, 'pgtrickle.' || c.relname
  from needs
  join (values
    ('create_stream_table', 'INSERT UPDATE', 'pgt_stream_tables'),
    ('create_stream_table', 'USAGE', 'pgt_stream_tables_pgt_id_seq'),
    ('create_stream_table', 'SELECT INSERT', 'pgt_dependencies'),
    ('create_stream_table', 'SELECT INSERT', 'pgt_change_tracking'),
    ('create_stream_table', 'SELECT INSERT UPDATE', 'pgt_refresh_history'),
    ('create_stream_table', 'USAGE', 'pgt_refresh_history_refresh_id_seq'),
    ('create_stream_table', 'SELECT INSERT UPDATE DELETE', 'pgt_template_cache'),
    ('alter_stream_table', 'UPDATE', 'pgt_stream_tables'),
    ('drop_stream_table', 'DELETE', 'pgt_stream_tables'),
    ('refresh_stream_table', 'UPDATE', 'pgt_stream_tables'),
    ('refresh_stream_table', 'SELECT INSERT UPDATE', 'pgt_refresh_history'),
    ('refresh_stream_table', 'SELECT', 'pgt_outbox_config')
  ) as used (function, rights, relation) on n -> 'call' ? used.function
  join as_caller on as_caller.function = used.function
  join pg_catalog.pg_class as c on c.relnamespace = pg_catalog.to_regnamespace('pgtrickle') and c.relname = used.relation
  cross join lateral string_to_table(used.rights, ' ') as w ("right")
  where (c.relname <> 'pgt_change_tracking' or (n -> 'buffered')::boolean) and not case c.relkind
    when 'S' then pg_catalog.has_sequence_privilege(c.oid, w.right)
    else pg_catalog.has_table_privilege(c.oid, w.right)
  end
) as lacking

-- The privileges that the role lacks to apply a plan, each with its object.
with needs as (select $needs::jsonb as n),
as_caller (function) as (
  select proname from pg_catalog.pg_proc
  where pronamespace = pg_catalog.to_regnamespace('pgtrickle') and not prosecdef
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
  select 'SELECT', w.schema || '.' || w.name
  from needs, jsonb_to_recordset(n -> 'read') as w (schema text, name text)
  join pg_catalog.pg_namespace as s on s.nspname = w.schema
  join pg_catalog.pg_class as c on c.relnamespace = s.oid and c.relname = w.name and c.relkind in ('r', 'p', 'v', 'm', 'f')
  where not pg_catalog.has_any_column_privilege(c.oid, 'SELECT')
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
  -- functions that run as their caller write as their caller
  select w.right, 'pgtrickle.' || c.relname
  from needs
  join (values
    ('create_stream_table', 'INSERT', 'pgt_stream_tables'),
    ('create_stream_table', 'INSERT', 'pgt_dependencies'),
    ('alter_stream_table', 'UPDATE', 'pgt_stream_tables'),
    ('drop_stream_table', 'DELETE', 'pgt_stream_tables'),
    ('refresh_stream_table', 'UPDATE', 'pgt_stream_tables'),
    ('refresh_stream_table', 'INSERT', 'pgt_refresh_history')
  ) as w (function, "right", relation) on n -> 'call' ? w.function
  join as_caller on as_caller.function = w.function
  join pg_catalog.pg_class as c on c.relnamespace = pg_catalog.to_regnamespace('pgtrickle') and c.relname = w.relation
  where not pg_catalog.has_table_privilege(c.oid, w.right)
) as lacking

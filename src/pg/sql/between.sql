-- The relations with the names of dbt models that stream tables read. For a view, its definition and that of the compiled
-- query, both as PostgreSQL writes them: the query becomes a temporary view, which a read-only transaction would reject.
-- The transaction is rolled back.
set local pgtrickle_ci.wanted = $wanted;
do $between$
declare
  wanted record;
  there record;
  found jsonb := '[]';
  number int := 0;
  stored text;
  given text;
  refusal jsonb;
  path text := current_setting('search_path');
begin
  for wanted in select * from jsonb_to_recordset(current_setting('pgtrickle_ci.wanted')::jsonb) as w (schema text, name text, query text) loop
    number := number + 1;
    stored := null;
    given := null;
    refusal := null;
    select c.oid, case c.relkind
      when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table' when 'S' then 'sequence' else 'table' end as kind
    into there
    from pg_catalog.pg_namespace as n
    join pg_catalog.pg_class as c on c.relnamespace = n.oid
    where n.nspname = wanted.schema and c.relname = wanted.name and c.relkind not in ('i', 'I', 't');
    if there.kind = 'view' and wanted.query is not null then
      begin
        execute format(E'create temporary view %I as\n%s', 'pgtrickle_ci_' || number, wanted.query);
        -- Without a search_path every name has its schema.
        perform set_config('search_path', '', true);
        stored := pg_catalog.pg_get_viewdef(there.oid);
        given := pg_catalog.pg_get_viewdef(format('pg_temp.%I', 'pgtrickle_ci_' || number)::regclass);
        perform set_config('search_path', path, true);
      exception when others then
        refusal := jsonb_build_object('code', sqlstate, 'message', sqlerrm);
        perform set_config('search_path', '', true);
        stored := pg_catalog.pg_get_viewdef(there.oid);
        perform set_config('search_path', path, true);
      end;
    end if;
    found := found || jsonb_build_object('schema', wanted.schema, 'name', wanted.name, 'kind', there.kind,
      'stored', stored, 'wanted', given, 'refusal', refusal);
  end loop;
  perform set_config('pgtrickle_ci.found', found::text, true);
end
$between$;
select jsonb_build_object(
  'found', current_setting('pgtrickle_ci.found')::jsonb,
  'read', (
    select coalesce(jsonb_agg(jsonb_build_object('schema', schema, 'name', name, 'readers', readers)), '[]')
    from (
      select n.nspname as schema, c.relname as name,
        jsonb_agg(jsonb_build_object('schema', s.pgt_schema, 'name', s.pgt_name) order by s.pgt_schema, s.pgt_name) as readers
      from pgtrickle.pgt_dependencies as d
      join pgtrickle.pgt_stream_tables as s on s.pgt_id = d.pgt_id
      join pg_catalog.pg_class as c on c.oid = d.source_relid and c.relkind = 'v'
      join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
      group by 1, 2 order by 1, 2
    ) as v
  )
)::text

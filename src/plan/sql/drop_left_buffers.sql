do $$ declare buffer record; begin
  for buffer in select c.relnamespace::regnamespace::text as schema, c.relname as name from pg_class as c
    where c.relnamespace = to_regnamespace(quote_ident(
      coalesce(nullif(current_setting('pg_trickle.change_buffer_schema', true), ''), 'pgtrickle_changes')))
    and c.relname ~ '^changes_[0-9a-f]{16}$'
    and pg_has_role(c.relowner, 'USAGE')
    and not exists (select from pg_trigger as t where t.tgname = 'pg_trickle_cdc_ins_' || substr(c.relname, 9))
    and not exists (select from pgtrickle.pgt_change_tracking as t
      where 'changes_' || (to_jsonb(t) ->> 'source_stable_name') = c.relname)
  loop
    execute format('drop table %s.%I', buffer.schema, buffer.name);
    if to_regclass('pgtrickle.pgt_change_buffers') is not null then
      execute 'delete from pgtrickle.pgt_change_buffers where buffer_key = $1' using buffer.name;
    end if;
  end loop;
end $$
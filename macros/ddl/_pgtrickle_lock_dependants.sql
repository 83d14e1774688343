{#
  Locks a stream table and the stream tables that read from it, until the transaction ends. Other sessions cannot create new
  readers of them then, which a drop would drop, too. As in a refresh, the catalog's row comes first.
#}
{% macro _pgtrickle_lock_dependants(relation) %}
  {%- set body %}
declare
  locked oid[] := '{}';
  here record;
begin
  loop
    {{ dbt_pgtrickle._pgtrickle_dependants_cte(relation) }}
    select st.pgt_id, c.oid into here
    from pgtrickle.pgt_stream_tables as st
    join pg_catalog.pg_class as c on c.oid = st.pgt_relid
    where c.oid <> all (locked) and (
      c.oid in (select relid from dependant)
      or (st.pgt_schema = {{ dbt_pgtrickle._pgtrickle_literal(relation.schema) }} and st.pgt_name = {{ dbt_pgtrickle._pgtrickle_literal(relation.identifier) }})
    )
    order by st.pgt_id
    limit 1;
    exit when not found;
    perform from pgtrickle.pgt_stream_tables where pgt_id = here.pgt_id for update;
    execute format('lock table %s in access exclusive mode', here.oid::regclass);
    locked := locked || here.oid;
  end loop;
end
  {%- endset -%}
  {%- do dbt_pgtrickle._pgtrickle_ddl('_pgtrickle_lock_dependants', 'do ' ~ dbt_pgtrickle._pgtrickle_literal(body)) -%}
{% endmacro %}

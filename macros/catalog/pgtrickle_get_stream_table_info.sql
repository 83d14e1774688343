{#
  The stream table of this name as the server knows it, or none (and while dbt parses): every column of
  pgtrickle.pgt_stream_tables, and
    query        the text that was given to the engine, which keeps it elsewhere when it has rewritten it
                 (docs/pg_trickle.md, Query text)
    mark         what _pgtrickle_write_mark left
    columns      the columns of its storage behind the first, {name, type}
    is_read      whether another stream table reads from it
    lost_source  whether something that it reads from no longer exists
    policed      the sources of which policies hide rows from this role
  The row travels as JSON, so that types stay what they are and a server with other columns is read all the same.
#}
{% macro pgtrickle_get_stream_table_info(name) %}
  {%- if not execute -%}
    {{- return(none) -}}
  {%- endif -%}
  {%- set relation = dbt_pgtrickle._pgtrickle_relation_named(name) -%}
  {%- set sql %}
    select (
      to_jsonb(st) || jsonb_build_object(
        'query', coalesce(to_jsonb(st) ->> 'original_query', st.defining_query),
        'mark', {{ dbt_pgtrickle._pgtrickle_mark_sql('st') }},
        'columns', (
          select coalesce(jsonb_agg(jsonb_build_object('name', a.attname, 'type', pg_catalog.format_type(a.atttypid, null)) order by a.attnum), '[]')
          from pg_catalog.pg_attribute as a
          where a.attrelid = st.pgt_relid and a.attnum > 0 and not a.attisdropped and a.attname <> '__pgt_row_id'
        ),
        'is_read', exists (select from pgtrickle.pgt_dependencies as d where d.source_relid = st.pgt_relid),
        'lost_source', exists (
          select from pgtrickle.pgt_dependencies as d
          where d.pgt_id = st.pgt_id
            and not exists (select from pg_catalog.pg_class as c where c.oid = d.source_relid)
        ),
        'policed', (
          select coalesce(jsonb_agg(c.oid::regclass::text order by c.relname), '[]')
          from pgtrickle.pgt_dependencies as d
          join pg_catalog.pg_class as c on c.oid = d.source_relid
          where d.pgt_id = st.pgt_id and pg_catalog.row_security_active(c.oid)
        )
      )
    )::text as stream_table
    from pgtrickle.pgt_stream_tables as st
    where st.pgt_schema = {{ dbt_pgtrickle._pgtrickle_literal(relation.schema) }}
      and st.pgt_name = {{ dbt_pgtrickle._pgtrickle_literal(relation.identifier) }}
  {%- endset -%}
  {%- set found = dbt_pgtrickle._pgtrickle_first_column(sql) -%}
  {{- return(fromjson(found[0]) if found else none) -}}
{% endmacro %}

{#
  How the existing view differs from its model, as PostgreSQL stores both: `none`; `query`, for which CREATE OR REPLACE VIEW
  works, because its columns stay and new ones come after them; `columns`. The model's query becomes a second view, with
  dbt's own check of the contract, and is rolled back. No change of a stream table runs meanwhile: see
  _pgtrickle_assert_contract.
#}
{% macro _pgtrickle_view_difference(view, sql) %}
  {%- set beside = make_intermediate_relation(view, '__pgt_tmp') -%}
  {%- set is_v2 = dbt_pgtrickle._pgtrickle_is_v2() -%}
  {#- dbt's check of the contract raises by itself, and v2 would leave the transaction open. -#}
  {%- set create_beside = get_create_view_as_sql(beside, sql) if is_v2 -%}
  {%- do dbt_pgtrickle._pgtrickle_begin_trial() -%}
  {%- do dbt_pgtrickle._pgtrickle_lock(shared=true) -%}
  {%- do dbt_pgtrickle._pgtrickle_ddl('_pgtrickle_view_difference', create_beside if is_v2 else get_create_view_as_sql(beside, sql)) -%}
  {%- set question %}
    with side as (
      select
        pg_catalog.pg_get_viewdef(v.oid) as query,
        array(
          select row(a.attname, a.atttypid, a.atttypmod, a.attcollation)::text
          from pg_catalog.pg_attribute as a
          where a.attrelid = v.oid and a.attnum > 0 and not a.attisdropped
          order by a.attnum
        ) as columns
      from unnest(array[
        {{ dbt_pgtrickle._pgtrickle_literal(view.include(database=false) | string) }}::regclass::oid,
        {{ dbt_pgtrickle._pgtrickle_literal(beside.include(database=false) | string) }}::regclass::oid
      ]) with ordinality as v (oid, nth)
      order by v.nth
    ),

    sides as (
      select array_agg(query) as queries, (array_agg(to_jsonb(columns)))[1] as there, (array_agg(to_jsonb(columns)))[2] as wanted
      from side
    )
    select case
      when there = wanted and queries[1] = queries[2] then 'none'
      when not exists (
        select from jsonb_array_elements(there) with ordinality as c (col, nth) where wanted -> (nth::int - 1) is distinct from col
      ) then 'query'
      else 'columns'
    end
    from sides
  {%- endset -%}
  {%- set difference = dbt_pgtrickle._pgtrickle_first_column(question)[0] -%}
  {%- do dbt_pgtrickle._pgtrickle_end_trial() -%}
  {{- return(difference) -}}
{% endmacro %}

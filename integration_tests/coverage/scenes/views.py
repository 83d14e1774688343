"""The materialization stable_view: left alone while it is what its model says, and what reads it follows when it changes."""

from harness import CREATED, SOURCES, UNCHANGED, check

STABLE = "{{ config(materialized='stable_view') }}\n"
TABLE = "{{ config(materialized='stream_table', meta={'pgtrickle': {'schedule': '1h'}}) }}\n"
AROUND = """{{ config(materialized='stable_view', contract={'enforced': true}, persist_docs={'relation': true, 'columns': true}, grants={'select': GRANTEES},
  pre_hook="insert into shop.hooks values ('before')", post_hook="insert into shop.hooks select 'after, ' || count(*) from {{ this }}") }}
select id, name from {{ source('shop', 'customers') }}
"""
COLUMNS = """
models:
  - name: with_all
    description: DESCRIPTION
    columns: [{name: id, data_type: integer, description: Who.}, {name: name, data_type: text}]
"""


def views(project, server):
    fresh = server.fresh("views")
    fresh(SOURCES)
    view = lambda name: fresh("select %s::regclass::oid", f"coverage.{name}")[0][0]
    equal = lambda table, query: check(
        not fresh(f"(select id from coverage.{table} except all {query}) union all ({query} except all select id from coverage.{table})"), f"{table} is not {query}")
    run = lambda expect, *more: project.run("--select", "views", *more, expect=expect)
    select = STABLE + "select id, amount from {{ source('shop', 'orders') }} where amount > 10"
    project.write("models/views/below.sql", select)
    project.write("models/views/above.sql", STABLE + "select id from {{ ref('below') }}")
    project.write("models/views/reads_below.sql", TABLE + "select id from {{ ref('below') }}")
    project.write("models/views/reads_above.sql", TABLE + "select id from {{ ref('above') }}")
    every = ["below", "above", "reads_below", "reads_above"]
    run(dict.fromkeys(every, CREATED))
    before = [view("below"), view("above"), fresh.fingerprint()]
    run(dict.fromkeys(every, UNCHANGED))
    project.write("models/views/below.sql", select.replace("select id", "-- only the layout\nSELECT  id"))
    run(dict.fromkeys(every, UNCHANGED))
    check(before == [view("below"), view("above"), fresh.fingerprint()], "what is as it should be was touched")

    # Either the run fills it again, or the scheduler was faster.
    followed = r"^(ALTER \(a source was changed\)|UNCHANGED)$"
    for where in ["amount > 20", "amount > 20 and status <> 'void'"]:
        project.write("models/views/below.sql", select.replace("amount > 10", where))
        run({"below": r"^ALTER \(query\)$", "above": UNCHANGED, "reads_below": followed, "reads_above": followed})
        for table in ["reads_below", "reads_above"]:
            equal(table, f"select id from shop.orders where {where}")
    check(before[:2] == [view("below"), view("above")], "a view was recreated for another query")
    project.write("models/views/below.sql", select.replace("id, amount", "id, amount, status"))
    run({"below": r"^ALTER \(query\)$", "above": UNCHANGED, "reads_below": followed, "reads_above": followed})
    check(before[:2] == [view("below"), view("above")], "a view was recreated for a new column")
    run(dict.fromkeys(every, UNCHANGED))

    # Who reads only the lower view's reader hears of it without being part of the run.
    project.write("models/views/below.sql", select.replace("id, amount", "id, amount, status").replace("10", "30"))
    project.run("--select", "below", expect={"below": r"^ALTER \(query\)$"})
    for table in ["reads_below", "reads_above"]:
        fresh(f"select pgtrickle.refresh_stream_table('coverage.{table}')")
        equal(table, "select id from shop.orders where amount > 30")

    project.write("models/views/below.sql", select.replace("id, amount", "id, amount::text as amount").replace("amount > 10", "id > 3"))
    replaced = r"^ALTER \(a source was replaced\)$"
    run({"below": r"^RECREATE \(columns\)$", "above": CREATED, "reads_below": replaced, "reads_above": replaced})
    for table in ["reads_below", "reads_above"]:
        equal(table, "select id from shop.orders where id > 3")
    run({"below": r"^RECREATE \(full refresh\)$", "above": CREATED}, "--full-refresh")
    project.edit("models/views/below.sql", "stable_view", "table")
    run({"above": CREATED})
    project.edit("models/views/below.sql", "'table'", "'stable_view'")
    run({"below": r"^RECREATE \(it was a table\)$", "above": CREATED})
    run(dict.fromkeys(every, UNCHANGED))
    around_a_view(project, fresh)
    check(not fresh("select from pg_class where relname like '%%__pgt_tmp'"), "a view is left over")
    for name in every:
        project.remove(f"models/views/{name}.sql")
    fresh.connection.close()


def around_a_view(project, server):
    """Documentation, grants, hooks and the contract are dbt's own, whether the view changes or not."""
    def seen():
        return server("""
            select obj_description('coverage.with_all'::regclass), col_description('coverage.with_all'::regclass, 1),
              has_table_privilege('pg_monitor', 'coverage.with_all', 'select'), (select string_agg(what, '; ') from shop.hooks)
        """)[0]

    for text, grantees, expected in [("It is new.", ["pg_monitor"], CREATED), ("It's \"kept\".", ["pg_monitor"], UNCHANGED), ("It is kept.", [], UNCHANGED)]:
        project.write("models/around_view.yml", COLUMNS.replace("DESCRIPTION", text))
        project.write("models/with_all.sql", AROUND.replace("GRANTEES", str(grantees)))
        project.run("--select", "with_all", expect={"with_all": expected})
        check(seen() == (text, "Who.", grantees != [], "before; after, 7"), f"{seen()}")
        server("truncate shop.hooks")
    project.edit("models/with_all.sql", "id, name", "id, upper(name) as name")
    project.run("--select", "with_all", expect={"with_all": r"^ALTER \(query\)$"})
    project.edit("models/with_all.sql", "id, upper(name) as name", "id")
    project.run("--select", "with_all", expect={"with_all": "contract"})
    check(server("select count(name) from coverage.with_all") == [(7,)], "a refused view was changed")
    project.remove("models/with_all.sql")
    project.remove("models/around_view.yml")

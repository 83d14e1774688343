"""Older servers, the end of a project, and many models at once."""

import os

from harness import CREATED, SOURCES, check
from invocations import IS_V2

# How often many models are built at once, and how often they are switched to IMMEDIATE and back.
ROUNDS = int(os.environ.get("COVERAGE_ROUNDS", "2"))
SWITCHES = int(os.environ.get("COVERAGE_SWITCHES", "20"))


def older_server(project, server):
    """An engine that cannot alter a query, nor hold every setting."""
    arguments = server("select pg_get_function_identity_arguments('pgtrickle.alter_stream_table'::regproc)")[0][0]
    server(f"alter function pgtrickle.alter_stream_table({arguments}) rename to alter_of_later")
    server("""
        create function pgtrickle.alter_stream_table(name text, schedule text default null, refresh_mode text default null, status text default null)
        returns void language sql as $$ select pgtrickle.alter_of_later(name, schedule => schedule, refresh_mode => refresh_mode, status => status) $$
    """)
    project.edit("models/top_three.sql", "limit 5", "limit 4")
    project.edit("models/key_diamond.sql", "'schedule': '1h'", "'schedule': '2h'")
    project.edit("models/key_fuse.sql", "'fuse': false", "'fuse': 'auto', 'tier': 'cold'")
    version = server("select extversion from pg_extension where extname = 'pg_trickle'")[0][0]
    project.run("--select", "top_three key_diamond key_fuse key_tier", expect={
        "top_three": rf"^RECREATE \(query, which pg_trickle {version} cannot alter\)$",
        "key_diamond": r"^ALTER \(schedule\)$",
        "key_fuse": rf"cannot be altered:.*fuse: alter_stream_table of pg_trickle {version} on this server does not take it; pg_trickle 0.40 and later do.*tier: ",
        "key_tier": "cannot be created:.*tier: alter_stream_table",
    })
    check("key_tier" not in server.tables(), "a refused create left something")
    server("drop function pgtrickle.alter_stream_table")
    server(f"alter function pgtrickle.alter_of_later({arguments}) rename to alter_stream_table")


def left_immediate(project, server):
    """A model that was IMMEDIATE, and got a column meanwhile, does not keep its source from being written to."""
    fresh = server.fresh("left_immediate")
    fresh(SOURCES)
    model = "{{ config(materialized='stream_table', meta={'pgtrickle': {'refresh_mode': 'MODE'}}) }}\nselect COLUMNS from {{ source('shop', 'customers') }}"
    for mode, columns, expected in [("DIFFERENTIAL", "id", CREATED), ("IMMEDIATE", "id, name", "^ALTER "), ("DIFFERENTIAL", "id, name", "^ALTER ")]:
        project.write("models/left_immediate.sql", model.replace("MODE", mode).replace("COLUMNS", columns))
        project.run("--select", "left_immediate", expect={"left_immediate": expected})
    fresh("insert into shop.customers values (100, 'new')")
    fresh("select pgtrickle.refresh_stream_table('coverage.left_immediate')")
    check(fresh("select name from coverage.left_immediate where id = 100") == [("new",)], "the new row is missing")
    project.remove("models/left_immediate.sql")
    fresh.connection.close()


def removed(project, server):
    """What this project made goes, and nothing else; unless force is used."""
    server("select pgtrickle.create_stream_table('shop.theirs', 'select customer_id, orders from coverage.base', '1h', 'DIFFERENTIAL')")
    before = server.tables()
    project.operation("drop_all_stream_tables", fails="has dependent stream tables")
    check(server.tables() == before, "some were dropped although one could not be")
    project.remove("models/top_three.sql") # the table of a model that is gone is ours all the same
    server("select pgtrickle.drop_stream_table('shop.theirs')")
    project.operation("drop_all_stream_tables", says="dropped coverage.top_three")
    check(server.tables() == {"fresh", "empty", "calculated", "never"}, f"left: {server.tables()}")
    project.operation("drop_all_stream_tables_force", schema="nowhere")
    check("fresh" in server.tables(), "force went beyond its schema")
    project.operation("drop_all_stream_tables_force", says="dropped shop.fresh")
    check(not server.tables(), f"left: {server.tables()}")


def together(project, server):
    """Many models over the same sources at once, again and again: what is reported as created exists, and nothing else."""
    queries = [
        "select customer_id, count(*) as orders from {{ source('shop', 'orders') }} where id > NUMBER group by customer_id",
        "select o.id, c.name from {{ source('shop', 'orders') }} as o join {{ source('shop', 'customers') }} as c on c.id = o.customer_id where o.id > NUMBER",
        "select v.id, c.name from {{ source('shop', 'visits') }} as v join {{ source('shop', 'customers') }} as c on c.id = v.customer_id where v.id > NUMBER",
    ]
    fails = "post_hook={'sql': 'select 1 / 0', 'transaction': true}, "
    commits_before = "pre_hook={'sql': 'select 1', 'transaction': false}, "
    expected = {}
    for number in range(30):
        name = f"together_{number:02}"
        hooks = {3: fails, 5: commits_before + fails}.get(number % 6, "")
        config = f"{{{{ config(materialized='stream_table', {hooks}meta={{'pgtrickle': {{'schedule': '1h'}}}}) }}}}\n"
        project.write(f"models/together/{name}.sql", config + queries[number % 3].replace("NUMBER", str(number)))
        expected[name] = "division by zero" if hooks else CREATED
    # docs/dbt.md, "dbt v2": there a table is committed before its post-hooks.
    created = {name for name, pattern in expected.items() if pattern == CREATED or IS_V2}

    for _ in range(ROUNDS):
        fresh = server.fresh("together")
        fresh(SOURCES)
        project.run("--select", "together", expect=expected)
        check(fresh.tables() == created, f"{fresh.tables() ^ created} are there or not, against what dbt said")
        there = {name for (name,) in fresh("select relname from pg_class where relnamespace = 'coverage'::regnamespace and relkind = 'r'")}
        check(there == created, f"{there ^ created} are left, or gone")
        fresh("insert into shop.orders values (2000, 1, 1, 'new'); insert into shop.visits values (2000, 1); update shop.customers set name = 'other'")
        for name in created:
            fresh(f"select pgtrickle.refresh_stream_table('coverage.{name}')")
            query = fresh.table(name)["defining_query"]
            columns = "customer_id, orders" if "group by" in query else "id, name"
            differing = fresh(f"(select {columns} from coverage.{name} except all ({query})) union all (({query}) except all select {columns} from coverage.{name})")
            check(not differing, f"{name} is not what its query gives: {differing}")
        fresh.connection.close()


def switched(project, server):
    """Many models over the same sources go to IMMEDIATE and back at once, with other queries, and none waits for another for ever."""
    join = "select o.id, c.name, NUMBER as number from {{ source('shop', 'orders') }} as o join {{ source('shop', 'customers') }} as c on c.id = o.customer_id"
    back = "select o.id, c.name, NUMBER as number from {{ source('shop', 'customers') }} as c join {{ source('shop', 'orders') }} as o on c.id = o.customer_id"
    config = "{{ config(materialized='stream_table', contract={'enforced': true}, meta={'pgtrickle': {'schedule': '1h', 'refresh_mode': 'MODE'}}) }}\n"
    fresh = server.fresh("switched")
    fresh(SOURCES)
    names = [f"switched_{number}" for number in range(8)]
    columns = "columns: [{name: id, data_type: integer}, {name: name, data_type: text}, {name: number, data_type: integer}]"
    project.write("models/switched/switched.yml", "models:\n" + "".join(f"  - {{name: {name}, {columns}}}\n" for name in names))
    for turn in range(SWITCHES):
        for number, name in enumerate(names):
            # The last two stay as they are: they only look at the sources, for their contracts.
            at = turn if number < 6 else 0
            mode = ["DIFFERENTIAL", "IMMEDIATE"][(number + at) % 2 if number < 6 else 0]
            project.write(f"models/switched/{name}.sql", config.replace("MODE", mode) + [join, back][number % 2].replace("NUMBER", str(at)))
        expected = {name: CREATED if turn == 0 else "^UNCHANGED$" if name in names[6:] else "^ALTER " for name in names}
        project.run("--select", "switched", expect=expected)
    fresh.connection.close()

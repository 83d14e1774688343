"""What becomes of dbt's own catalog, column lists, snapshots and source freshness."""

from harness import can_run, check
from invocations import VERSION


WITHOUT = "profile: coverage\n"
DISPATCH = "profile: coverage\ndispatch:\n  - {macro_namespace: dbt, search_order: [coverage, dbt_pgtrickle, dbt]}\n"


def documented(project, server):
    """What the dispatch of dbt's own macros to the package changes in dbt's catalog, and what it leaves alone."""
    def catalog():
        succeeded, _ = project.dbt("docs", "generate", "--no-compile")
        check(succeeded, project.said)
        nodes = project.read_json("catalog.json")
        nodes = {**nodes["nodes"], **nodes["sources"]}
        for node in nodes.values():
            node["columns"] = {name: {k: v for k, v in column.items() if k != "index"} for name, column in node["columns"].items()}
        return nodes

    plain = catalog()
    project.edit("dbt_project.yml", WITHOUT, DISPATCH)
    server("analyze coverage.base")
    opted = catalog()
    project.edit("dbt_project.yml", DISPATCH, WITHOUT)
    check(plain.keys() == opted.keys(), f"{plain.keys() ^ opted.keys()} are in one catalog only")
    for name in plain:
        if name.split(".")[-1] in ["plain_table", "view_of_base"] or name.startswith("source."):
            check(plain[name] == opted[name], f"{name} is another one:\n{plain[name]}\n{opted[name]}")
    base = opted["model.coverage.base"]
    check("__pgt_row_id" in plain["model.coverage.base"]["columns"] and list(base["columns"]) == ["customer_id", "orders", "total"], f"{base}")
    stats = {name: stat["value"] for name, stat in base["stats"].items()}
    check(base["metadata"]["type"] == "STREAM TABLE" and stats["schedule"] == "1h" and stats["refresh_mode"] == "DIFFERENTIAL"
          and stats["status"] == "ACTIVE" and stats["last_refresh"] and float(stats["rows"]) == 7 and stats["has_stats"], f"{base}")


def around(project, server):
    """What the dispatch changes in lists of columns, and so in snapshots."""
    project.operation("column_lists", model_name="base", says="of the relation: __pgt_row_id, customer_id.*of the query: __pgt_row_id, customer_id")
    project.edit("dbt_project.yml", WITHOUT, DISPATCH)
    project.operation("column_lists", model_name="base", says="of the relation: customer_id, orders, total$.*of the query: customer_id, orders, total$")
    server("select pgtrickle.refresh_stream_table('coverage.mode_differential')")
    for rows in [7, 7, 8]: # the first look, nothing new, a changed total
        if rows == 8:
            server("update shop.orders set amount = amount + 1 where id = 7")
            server("select pgtrickle.refresh_stream_table('coverage.mode_differential')")
        succeeded, _ = project.dbt("snapshot")
        check(succeeded, project.said)
        found = server("select count(*) from coverage.seen_totals")[0][0]
        check(found == rows, f"the snapshot has {found} rows, not {rows}")


def freshness(project, server):
    """Stream tables of each kind, as sources."""
    server("create table shop.nothing (id int primary key)")
    for name, query, more in [
        ("fresh", "select id from shop.customers", ""),
        ("empty", "select id from shop.nothing", ""),
        ("calculated", "select id, name from shop.customers", ""),
        ("never", "select id from shop.visits", ", initialize => false"),
    ]:
        schedule = "calculated" if name == "calculated" else "1h"
        server(f"select pgtrickle.create_stream_table('shop.{name}', %s, '{schedule}', 'DIFFERENTIAL'{more})", query)
    if can_run(source_freshness):
        source_freshness(project)


def source_freshness(project):
    """dbt's own, for stream tables, with the newer way where dbt has it."""
    limits = "freshness: {warn_after: {count: 5, period: minute}, error_after: {count: 10, period: minute}}"
    if VERSION >= (1, 10):
        how = f"config:\n      loaded_at_query: \"{{{{ dbt_pgtrickle.loaded_at(this) }}}}\"\n      {limits}"
        plain = f"config: {{loaded_at_field: now(), {limits}}}"
    else:
        how = f"loaded_at_field: pgtrickle_refreshed_at\n    {limits}"
        plain = f"loaded_at_field: now()\n    {limits}"
    tables = "".join(f"\n      - name: {name}" for name in ["fresh", "empty", "calculated", "never", "missing"])
    project.write("models/streams.yml", f"version: 2\nsources:\n  - name: streams\n    schema: shop\n    {how}\n    tables:{tables}\n"
                  f"  - name: plain\n    schema: shop\n    {plain}\n    tables: [{{name: customers}}]\n")
    succeeded, _ = project.dbt("source", "freshness")
    found = {result["unique_id"].split(".")[-1]: result["status"] for result in project.read_json("sources.json")["results"]}
    expected = {"fresh": "pass", "empty": "pass", "calculated": "pass", "never": "error", "missing": "error", "customers": "pass"}
    check(not succeeded and found == expected, f"freshness: {found}\n{project.said}")
    project.remove("models/streams.yml")

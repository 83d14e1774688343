"""Drives this project through all that the dbt package does, and sees every check fail once.

Run by scripts/dbt_matrix.sh, in a copy of the project, with PGHOST and its like naming an empty database.
"""

import json
import os
import pathlib
import re
import sys
import time

import yaml
from harness import VERSION, Failed, Project, Server, check

# How often many models are built at once.
ROUNDS = int(os.environ.get("COVERAGE_ROUNDS", "2"))

CREATED = "^CREATE$"
UNCHANGED = "^UNCHANGED$"
TOTALS = "select customer_id, count(*) as orders, sum(amount) as total from {{ source('shop', 'orders') }} group by customer_id\n"

# What the catalog says of each model's table once it is created.
CATALOG = {
    "mode_differential": {"refresh_mode": "DIFFERENTIAL", "schedule": "1h", "status": "ACTIVE", "is_populated": True},
    "mode_full": {"refresh_mode": "FULL"},
    "mode_auto": {"refresh_mode": "DIFFERENTIAL"},
    "mode_immediate": {"refresh_mode": "IMMEDIATE", "schedule": None},
    "key_schedule_cron": {"schedule": "@daily"},
    "key_schedule_null": {"schedule": None},
    "key_schedule_seconds": {"schedule": "3600s"},
    "key_initialize": {"status": "INITIALIZING", "is_populated": False},
    "key_status": {"status": "SUSPENDED"},
    "renamed": {"pgt_schema": "coverage_named"},
    "key_cdc_mode": {"requested_cdc_mode": "trigger"},
    "key_partition_by": {"st_partition_key": "LIST:status"},
    "key_fuse": {"fuse_mode": "on", "fuse_ceiling": 100000, "fuse_sensitivity": 3},
    "key_append_only": {"is_append_only": True},
    "key_storage": {"temporal_mode": False, "storage_backend": "heap", "pooler_compatibility_mode": True},
    "key_diamond": {"diamond_consistency": "atomic", "diamond_schedule_policy": "slowest"},
    "key_limits": {"max_differential_joins": 4, "max_delta_fraction": 0.5},
    "key_tier": {"refresh_tier": "warm"},
    "top_three": {"topk_limit": 3},
    "config_itself": {"schedule": "2h", "refresh_tier": "cold"},
}

SOURCES = """
    create extension if not exists pg_trickle;
    create schema shop;
    create table shop.orders (id int primary key, customer_id int, amount numeric(10,2), status text);
    create table shop.customers (id int primary key, name text);
    create table shop.visits (id int primary key, customer_id int);
    create table shop.hooks (what text);
    insert into shop.orders select n, n % 7, n, (array['new','paid','void'])[1 + n % 3] from generate_series(1, 60) as n;
    insert into shop.customers select n, 'c' || n from generate_series(1, 7) as n;
    insert into shop.visits select n, n % 7 from generate_series(1, 20) as n;
"""


def check_catalog(server, expected):
    for name, columns in expected.items():
        row = server.table(name)
        found = {column: row[column] for column in columns}
        check(found == columns, f"{name} is {found}, not {columns}")


def prepare(project, server):
    server(SOURCES + "create schema coverage_named")
    # Keys in the config itself are an error to dbt v2, so this one is not among the project's files.
    project.write("models/config_itself.sql", "{{ config(materialized='stream_table', schedule='2h', tier='cold') }}\n" + TOTALS)
    succeeded, _ = project.dbt("deps")
    check(succeeded, project.said)
    all_of_them = ["--show-all-deprecations"] if VERSION >= (1, 10) else []
    succeeded, _ = project.dbt("--warn-error", "parse", "--no-partial-parse", *all_of_them)
    check(succeeded and not project.warned, f"not without a warning: {project.warned}\n{project.said}")


def created(project, server):
    """Everything is created; what fails in a hook leaves nothing, though an earlier hook has committed."""
    models = {path.stem for path in pathlib.Path("models").glob("*.sql")} - {"bad_post_hook", "plain_table", "view_of_base"}
    project.run(expect={**dict.fromkeys(models, CREATED), "bad_post_hook": "division by zero"})
    check_catalog(server, CATALOG)
    there = (models - {"key_names"}) | {"renamed"}
    check(server.tables() == there, f"{server.tables() ^ there} are there or not, against what dbt said")

    hooks = [what for (what,) in server("select what from shop.hooks")]
    check(hooks == ["before, outside", "before, inside", "after, inside, 7", "after, outside"], f"hooks: {hooks}")
    around = server("""
        select obj_description('coverage.around_it'::regclass), col_description('coverage.around_it'::regclass, 2),
          has_table_privilege('pg_monitor', 'coverage.around_it', 'select')
    """)[0]
    check(around == ("A table with all that dbt can put around it; it's \"quoted\".", "Who.", True), f"around it: {around}")
    mark = server("select col_description('coverage.base'::regclass, 1)")[0][0]
    check(json.loads(mark) == {"dbt_project": "coverage", "unique_id": "model.coverage.base"}, f"the mark is {mark}")


def unchanged(project, server):
    """Nothing is sent to the engine for what is as it should be, whatever its layout."""
    project.edit("models/base.sql", "select\n", "-- It's only a comment.\nSELECT\n")
    project.edit("models/key_schedule_seconds.sql", "3600s", "60m")
    untouched = lambda: [row for row in server.fingerprint() if row[0] != "reader_of_view"]
    before = untouched()
    nodes = project.run(expect={"base": UNCHANGED, "mode_auto": UNCHANGED, "key_status": UNCHANGED})
    others = {name: message for name, message in nodes.items() if message != "UNCHANGED"}
    # dbt makes a view anew each time, under another OID; its readers have to be given their query again.
    check(set(others) == {"bad_post_hook", "plain_table", "view_of_base", "reader_of_view"}, f"changed without a reason: {others}")
    check(untouched() == before, "an unchanged table was touched")
    project.remove("models/bad_post_hook.sql")


def changed(project, server):
    """Each kind of change is told from the others and done in the least way."""
    edit = project.edit
    edit("models/mode_differential.sql", "'DIFFERENTIAL'", "'FULL'")
    edit("models/mode_full.sql", "max(amount) as largest", "max(amount) as largest, count(*) as orders")
    edit("models/mode_auto.sql", "count(*) as orders", "count(*) as orders, avg(amount) as mean")
    edit("models/mode_immediate.sql", "'IMMEDIATE'", "'DIFFERENTIAL', 'schedule': '2h'")
    edit("models/key_schedule_cron.sql", "'@daily'", "'calculated'")
    edit("models/key_schedule_null.sql", "none", "90")
    edit("models/key_status.sql", "'PAUSED'", "'active'")
    edit("models/key_cdc_mode.sql", "'trigger'", "'AUTO'")
    edit("models/key_partition_by.sql", ", 'partition_by': 'LIST:status'", "")
    edit("models/key_fuse.sql", "'fuse': true, 'fuse_ceiling': 100000", "'fuse': false, 'fuse_ceiling': 5")
    edit("models/key_append_only.sql", "'append_only': true", "'append_only': false")
    edit("models/key_storage.sql", "'pooler_compatibility_mode': true", "'pooler_compatibility_mode': false")
    edit("models/key_diamond.sql", "'atomic', 'diamond_schedule_policy': 'slowest'", "'none', 'diamond_schedule_policy': 'fastest'")
    edit("models/key_limits.sql", "'max_delta_fraction': 0.5", "'max_delta_fraction': 0.25")
    edit("models/key_tier.sql", "'warm'", "'hot'")
    edit("models/kept_if_recreated.sql", "'schedule': '1h'", "'schedule': '1h', 'partition_by': 'customer_id'")
    edit("models/top_three.sql", "limit 3", "limit 5")
    edit("models/semicolon_and_comment.sql", "select id, amount", "select id, amount::text as amount")
    edit("models/config_itself.sql", "schedule='2h'", "schedule='2h', on_configuration_change='continue'")
    edit("models/config_itself.sql", "'cold'", "'hot'")
    edit("models/around_it.sql", "meta={'pgtrickle': {'schedule': '1h'}}", "on_configuration_change='fail',\n    meta={'pgtrickle': {'schedule': '3h'}}")
    wrong = {
        "wrong_settings": ("{'schedul': '1h', 'refresh_mode': 'SOMETIMES', 'append_only': 'yes', 'fuse_ceiling': 1.5, 'on_recreate': 'ask'}", TOTALS),
        "wrong_together": "{'refresh_mode': 'IMMEDIATE', 'append_only': true, 'partition_by': 'customer_id', 'cdc_mode': 'wal', 'fuse_ceiling': 0}",
        "wrong_Name": "{}",
        "wrong_key": ("{}", "select status, id from {{ source('shop', 'orders') }}"),
        "wrong_query": ("{}", "select nope from {{ source('shop', 'orders') }}"),
        "wrong_contract": "{}",
    }
    project.write("models/wrong.yml", "models: [{name: wrong_contract, config: {contract: {enforced: true}}, columns: [{name: customer_id, data_type: text}]}]\n")
    for name, model in wrong.items():
        meta, query = model if isinstance(model, tuple) else (model, TOTALS)
        project.write(f"models/{name}.sql", f"{{{{ config(materialized='stream_table', meta={{'pgtrickle': {meta}}}) }}}}\n{query}")

    before = server.tables()
    project.run(expect={
        "mode_differential": r"^ALTER \(refresh_mode\)$",
        "mode_full": r"^ALTER \(query\)$",
        "mode_auto": r"^RECREATE \(order of columns\)$",
        "mode_immediate": r"^ALTER \(schedule, refresh_mode\)$",
        "key_schedule_cron": r"^ALTER \(schedule\)$",
        "key_schedule_null": r"^ALTER \(schedule\)$",
        "key_schedule_seconds": UNCHANGED,
        "key_status": r"^ALTER \(status\)$",
        "key_cdc_mode": r"^ALTER \(cdc_mode\)$",
        "key_partition_by": r"^RECREATE \(partition_by\)$",
        "key_fuse": r"^ALTER \(fuse, fuse_ceiling\)$",
        "key_append_only": UNCHANGED,
        "key_storage": r"^ALTER \(pooler_compatibility_mode\)$",
        "key_diamond": r"^ALTER \(diamond_consistency, diamond_schedule_policy\)$",
        "key_limits": r"^ALTER \(max_delta_fraction\)$",
        "key_tier": r"^ALTER \(tier\)$",
        "kept_if_recreated": r"dropped and created \(partition_by\), and on_recreate is `fail`. What reads from it: nothing",
        "top_three": r"^ALTER \(query\)$",
        "semicolon_and_comment": r"^RECREATE \(type of amount\)$",
        "config_itself": UNCHANGED,
        "around_it": "schedule changed, and on_configuration_change is `fail`",
        "wrong_settings": "`schedul` is not a setting.*refresh_mode is `SOMETIMES`.*fuse_ceiling is `1.5`.*append_only is `yes`.*on_recreate is `ask`",
        "wrong_together": "append_only cannot go.*partition_by cannot go.*cdc_mode wal cannot go.*fuse_ceiling is `0`",
        "wrong_Name": "cannot hold a stream table named `coverage.wrong_Name`",
        "wrong_key": "23505.*put it first|put it first.*23505",
        "wrong_query": "42703",
        "wrong_contract": "contract.*customer_id",
    })
    project.remove("models/wrong.yml")
    check(server.tables() == before, "a refused model left something")
    check("tier changed, and on_configuration_change is `continue`" in project.said, "continue was not said")
    check_catalog(server, {
        "mode_immediate": {"refresh_mode": "DIFFERENTIAL", "schedule": "2h"},
        "key_schedule_cron": {"schedule": None}, "key_schedule_null": {"schedule": "90"},
        "key_status": {"status": "ACTIVE"}, "key_partition_by": {"st_partition_key": None},
        "key_fuse": {"fuse_mode": "off", "fuse_ceiling": 5}, "top_three": {"topk_limit": 5},
        "config_itself": {"refresh_tier": "cold"},
    })
    check(server("select count(*) from coverage.top_three") == [(5,)], "the top five are not five")
    for name in wrong:
        project.remove(f"models/{name}.sql")
    edit("models/kept_if_recreated.sql", ", 'partition_by': 'customer_id'", "")
    edit("models/around_it.sql", "'3h'", "'1h'")


def recreated(project, server):
    """A stream table is never dropped under what reads from it, unless the same run brings that back."""
    refused = r"is not part of this run: coverage.reader_of_base, coverage.reader_of_view, coverage.view_of_base. Select them, too: dbt run --select base\+"
    project.run("--select", "base", "--full-refresh", expect={"base": refused})
    read = "{{ config(materialized='stream_table', meta={'pgtrickle': {'schedule': '1h'}}) }}\n"
    project.write("models/read.sql", read + "select id, customer_id from {{ source('shop', 'orders') }}")
    project.write("models/reads.sql", read + "select id from {{ ref('read') }}")
    project.run("--select", "read+", expect={"read": CREATED, "reads": CREATED})
    project.edit("models/read.sql", "customer_id", "customer_id, amount")
    project.run("--select", "read+", expect={"read": r"^RECREATE \(new columns, which others read\)$", "reads": CREATED})

    project.edit("models/base.sql", "sum(amount) as total", "sum(amount)::text as total")
    for reader in ["reader_of_base", "reader_of_view"]:
        project.edit(f"models/{reader}.sql", "total > 5", "total::numeric > 5")
    project.run("--select", "base", expect={"base": r"\(type of total\).*" + refused})
    check(server.tables() >= {"base", "reader_of_base", "reader_of_view"}, "a refused drop dropped")

    project.run("--select", "base+", expect={"base": r"^RECREATE \(type of total\)$", "reader_of_base": CREATED, "reader_of_view": CREATED})
    everything = project.run("--select", "base+ kept_if_recreated", "--full-refresh", expect={"base": r"^RECREATE \(full refresh\)$", "kept_if_recreated": r"^RECREATE \(full refresh\)$"})
    check(not [name for name, message in everything.items() if "error" in message], f"{everything}")
    filled = server("select (select count(*) from coverage.reader_of_view), (select count(*) from coverage.base where total::numeric > 5)")[0]
    check(filled[0] == filled[1] > 0, f"the reader has {filled[0]} of {filled[1]} rows")


def operations(project, server):
    """Every operation on tables that are well; and first on one that was never filled."""
    project.operation("pgtrickle_check_freshness", model_name="key_initialize", fails="never been populated")
    project.operation("pgtrickle_status", model_name="key_initialize", fails="populating")
    project.operation("pgtrickle_refresh", model_name="key_initialize", says="refreshed coverage.key_initialize")
    project.operation("pgtrickle_refresh", model_name="nobody", fails="no stream table model named `nobody`")
    check(server.table("key_initialize")["is_populated"], "it was not refreshed")

    server("insert into shop.orders values (1000, 1, 1, 'new')")
    project.operation("refresh_all_stream_tables", says="refreshed coverage.base.*refreshed coverage.reader_of_base")
    project.operation("refresh_all_stream_tables", schema="coverage_named", says="refreshed coverage_named.renamed")
    check("coverage.base" not in project.said, "another schema was refreshed")
    project.operation("pgtrickle_status", says=r"^OK +coverage\.base  healthy: refreshed \d+ s ago, 3660 s allowed \(DIFFERENTIAL every 1h\)$")
    project.operation("pgtrickle_stream_table_status", model_name="key_names", says=r"coverage_named\.renamed  healthy")
    project.operation("pgtrickle_check_freshness", says=r"freshness: \d\d looked at, none failed")
    project.operation("pgtrickle_check_freshness", model_name="base", error_seconds=0, fails="stale")
    project.operation("pgtrickle_check_cdc_health", says="^OK +shop.orders  TRIGGER$")
    project.operation("pgtrickle_explain", model_name="base", says="^refresh_mode: DIFFERENTIAL")
    project.operation("pgtrickle_refresh_history", model_name="base", limit=1, says=r"completed.*1 looked at")
    project.operation("pgtrickle_operational_status", says="^OK +scheduler_running")
    project.operation("pgtrickle_drain", timeout_seconds=10, says="no refresh is under way")
    if server("select 1 where pgtrickle.version() like '%%emulator%%'"):
        project.operation("pgtrickle_enable_monitoring", fails="cannot monitor itself")
    else:
        project.operation("pgtrickle_enable_monitoring", says="OK +df_efficiency_rolling")
    pairs = yaml.safe_load(pathlib.Path("query_pairs.yml").read_text())
    project.operation("check_query_pairs", pairs=pairs, says="pairs are judged as listed")
    project.operation("check_query_pairs", pairs=[{"one": "a", "other": "b", "same": True}], fails="not judged as listed")
    project.tests(failing=[])


def broken(project, server):
    """Each kind of damage is seen by the tests and the operations that look for it, and by no other."""
    server("select pgtrickle.alter_stream_table('coverage.mode_full', status => 'SUSPENDED')")
    server("select pgtrickle.alter_stream_table('coverage.key_fuse', status => 'ERROR')")
    server("select pgtrickle.drop_stream_table('coverage.key_tier')")
    server("select pgtrickle.alter_stream_table('coverage.mode_auto', tier => 'frozen')")
    limits = "'freshness': {'error_after': {'count': 1, 'period': 'second'}}"
    project.edit("models/mode_differential.sql", "'schedule': '1h'", f"'schedule': '1h', {limits}")
    trigger = server("select tgname from pg_trigger where tgrelid = 'shop.orders'::regclass and tgname like 'pg_trickle_cdc_ins%'")[0][0]
    server(f'alter table shop.orders disable trigger "{trigger}"')
    dropped = server("select tgname from pg_trigger where tgrelid = 'shop.visits'::regclass and tgname like 'pg_trickle_cdc_del%'")[0][0]
    server(f'drop trigger "{dropped}" on shop.visits')
    server("insert into shop.orders values (1001, 1, 1, 'new')")
    time.sleep(1.1)

    project.tests(failing=[
        "stream_table_healthy_mode_full", "pgtrickle_matches_query_mode_full",
        "stream_table_healthy_key_fuse", "pgtrickle_no_errors_key_fuse", "pgtrickle_matches_query_key_fuse",
        "stream_table_healthy_key_tier", "pgtrickle_not_stale_key_tier", "pgtrickle_no_errors_key_tier", "pgtrickle_matches_query_key_tier",
        "stream_table_healthy_mode_differential", "pgtrickle_not_stale_mode_differential", "pgtrickle_matches_query_mode_differential",
        "pgtrickle_matches_query_mode_auto", "pgtrickle_matches_query_key_names",
    ])
    states = r"ERROR  coverage\.key_fuse  erroring.*ERROR  coverage\.key_tier  not_found.*WARN   coverage\.mode_auto  frozen.*ERROR  coverage\.mode_differential  stale.*ERROR  coverage\.mode_full  suspended"
    project.operation("pgtrickle_status", fails=states)
    project.operation("pgtrickle_check_freshness", fails=states)
    project.operation("pgtrickle_stream_table_status", model_name="mode_full", fails="suspended")
    project.operation("pgtrickle_check_cdc_health", fails=rf"ERROR  shop\.orders  TRIGGER; missing or disabled: {trigger}.*ERROR  shop\.visits  .*{dropped}")
    project.operation("pgtrickle_operational_status", fails="ERROR  suspended_tables  coverage.mode_full")
    project.operation("pgtrickle_refresh", model_name="mode_full", fails="22023")
    project.operation("refresh_all_stream_tables", fails="22023|42P01|is suspended")
    project.operation("pgtrickle_explain", model_name="key_tier", fails="not found")
    project.operation("pgtrickle_refresh_history", model_name="key_tier", fails="no stream table coverage.key_tier")

    holder = Server()
    holder.connection.autocommit = False
    holder("select pgtrickle.refresh_stream_table('coverage.base')")
    project.operation("pgtrickle_refresh", model_name="base", fails="another refresh of it is under way")
    holder.connection.rollback()

    server(f'alter table shop.orders enable trigger "{trigger}"')
    project.edit("models/mode_differential.sql", f", {limits}", "")


def around(project, server):
    """What the dispatch of dbt's own macros to the package changes, and what it leaves alone."""
    def catalog():
        succeeded, _ = project.dbt("docs", "generate", "--no-compile")
        check(succeeded, project.said)
        nodes = project.read_json("catalog.json")
        nodes = {**nodes["nodes"], **nodes["sources"]}
        for node in nodes.values():
            node["columns"] = {name: {k: v for k, v in column.items() if k != "index"} for name, column in node["columns"].items()}
        return nodes

    plain = catalog()
    project.operation("column_lists", model_name="base", says="of the relation: __pgt_row_id, customer_id.*of the query: __pgt_row_id, customer_id")
    project.edit("dbt_project.yml", "profile: coverage\n", "profile: coverage\ndispatch:\n  - {macro_namespace: dbt, search_order: [coverage, dbt_pgtrickle, dbt]}\n")
    opted = catalog()
    project.operation("column_lists", model_name="base", says="of the relation: customer_id, orders, total$.*of the query: customer_id, orders, total$")
    check(plain.keys() == opted.keys(), f"{plain.keys() ^ opted.keys()} are in one catalog only")
    for name in plain:
        if name.split(".")[-1] in ["plain_table", "view_of_base"] or name.startswith("source."):
            check(plain[name] == opted[name], f"{name} is another one:\n{plain[name]}\n{opted[name]}")
    base = opted["model.coverage.base"]
    check("__pgt_row_id" in plain["model.coverage.base"]["columns"] and list(base["columns"]) == ["customer_id", "orders", "total"], f"{base}")
    stats = {name: stat["value"] for name, stat in base["stats"].items()}
    check(base["metadata"]["type"] == "STREAM TABLE" and stats["schedule"] == "1h" and stats["refresh_mode"] == "DIFFERENTIAL"
          and stats["status"] == "ACTIVE" and stats["last_refresh"] and stats["has_stats"], f"{base}")

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
    """dbt's own source freshness for stream tables, with the newer way where dbt has it."""
    server("create table shop.nothing (id int primary key)")
    for name, query, more in [
        ("fresh", "select id from shop.customers", ""),
        ("empty", "select id from shop.nothing", ""),
        ("calculated", "select id, name from shop.customers", ""),
        ("never", "select id from shop.visits", ", initialize => false"),
    ]:
        schedule = "calculated" if name == "calculated" else "1h"
        server(f"select pgtrickle.create_stream_table('shop.{name}', %s, '{schedule}', 'DIFFERENTIAL'{more})", query)
    limits = "freshness: {warn_after: {count: 5, period: minute}, error_after: {count: 10, period: minute}}"
    if VERSION >= (1, 10):
        how = f"config:\n      loaded_at_query: \"{{{{ dbt_pgtrickle.loaded_at(this) }}}}\"\n      {limits}"
    else:
        how = f"loaded_at_field: pgtrickle_refreshed_at\n    {limits}"
    tables = "".join(f"\n      - name: {name}" for name in ["fresh", "empty", "calculated", "never", "missing"])
    project.write("models/streams.yml", f"version: 2\nsources:\n  - name: streams\n    schema: shop\n    {how}\n    tables:{tables}\n")
    succeeded, _ = project.dbt("source", "freshness")
    found = {result["unique_id"].split(".")[-1]: result["status"] for result in project.read_json("sources.json")["results"]}
    expected = {"fresh": "pass", "empty": "pass", "calculated": "pass", "never": "error", "missing": "error"}
    check(not succeeded and found == expected, f"freshness: {found}\n{project.said}")
    project.remove("models/streams.yml")


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
        "key_fuse": rf"cannot be altered:.*fuse: alter_stream_table of pg_trickle {version} on this server does not take it; pg_trickle 0.67.0 does.*tier: ",
        "key_tier": "cannot be created:.*tier: alter_stream_table",
    })
    check("key_tier" not in server.tables(), "a refused create left something")
    server("drop function pgtrickle.alter_stream_table")
    server(f"alter function pgtrickle.alter_of_later({arguments}) rename to alter_stream_table")


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
    created = {name for name, pattern in expected.items() if pattern == CREATED}

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


SCENES = [prepare, created, unchanged, changed, recreated, operations, broken, around, freshness, older_server, removed, together]


def main():
    project, server = Project("."), Server()
    begin = time.monotonic()
    for scene in SCENES:
        try:
            scene(project, server)
        except Failed as failed:
            sys.exit(f"dbt {'.'.join(map(str, VERSION))}: {scene.__name__}: {failed}")
    print(f"dbt {'.'.join(map(str, VERSION))}: all {len(SCENES)} scenes, {time.monotonic() - begin:.0f} s")


main()

"""What fails leaves no transaction open, and nothing beside it fails or waits because of it."""

import contextlib
import threading
import time

from harness import CREATED, SOURCES, UNCHANGED, Server, check
from invocations import IS_V2

STREAM = "{{ config(materialized='stream_table', MOREmeta={'pgtrickle': {'schedule': '1h'SETTINGS}}) }}\nselect id, customer_id from {{ source('shop', 'orders') }}\n"
VIEW = "{{ config(materialized='stable_view') }}\nselect id, customer_id from {{ source('shop', 'orders') }}\n"
# It ends last: what the others leave open is seen meanwhile.
LAST = "{{ config(materialized='table') }}\nselect pg_sleep(8)::text as slept\n"
OPEN_TOO_LONG = """
    select left(query, 200) from pg_stat_activity
    where datname = current_database() and state like 'idle in transaction%' and now() - state_change > interval '5 s'
"""


def stream(more="", settings=""):
    return STREAM.replace("MORE", more).replace("SETTINGS", settings)


def hook(text, where="post_hook"):
    """A hook in the model's transaction."""
    return f'{where}={{"sql": "{text}", "transaction": true}}, '


FAILING = {
    "refused": (stream(settings=", 'on_recreate': 'fail'"), CREATED),
    "wrong_query": (stream().replace("customer_id", "nope"), "42703"),
    "wrong_setting": (stream(settings=", 'tier': 'lukewarm'"), "tier is `lukewarm`"),
    "wrong_view": (VIEW.replace("customer_id", "nope"), "nope"),
    "wrong_grant": (stream("grants={'select': ['nobody_at_all']}, "), "nobody_at_all"),
    "hook_fails": (stream(hook("select 1 / 0")), "division by zero"),
    "hook_fails_before": (stream(hook("select 1 / 0", "pre_hook")), "division by zero"),
    "hook_raises": (stream(hook("{{ exceptions.raise_compiler_error('no, says the hook') if execute }}")), "no, says the hook"),
    "hook_raises_before": (stream(hook("{{ exceptions.raise_compiler_error('no, says the hook') if execute }}", "pre_hook")), "no, says the hook"),
    "hook_refreshes": (stream(hook("{{ dbt_pgtrickle.pgtrickle_refresh('nobody') }}")), "coverage.nobody"),
    "hook_drops": (stream(hook("{{ dbt_pgtrickle.pgtrickle_drop_stream_table('coverage.nobody') }}")), "coverage.nobody"),
    "hook_of_a_view": (VIEW.replace("config(", "config(" + hook("select 1 / 0")), "division by zero"),
}
# What fails after the deployment. docs/dbt.md, "dbt v2": there the table is committed by then.
AFTERWARDS = {"wrong_grant", "hook_fails", "hook_raises", "hook_refreshes", "hook_drops"}
OPERATIONS = [
    ("pgtrickle_refresh", {"model_name": "nobody"}, "coverage.nobody"),
    ("pgtrickle_refresh_stream_table", {"name": "coverage.nobody"}, "coverage.nobody"),
    ("pgtrickle_drop_stream_table", {"name": "coverage.nobody"}, "coverage.nobody"),
    ("pgtrickle_alter_stream_table", {"name": "coverage.well_0", "schedule": "1h", "refresh_mode": "DIFFERENTIAL", "query": "select customer_id, id from shop.orders"}, "cannot be altered in place"),
    ("pgtrickle_create_stream_table", {"name": "coverage.new", "query": "select nope from shop.orders", "schedule": "1h", "refresh_mode": "FULL", "initialize": True}, "42703"),
    ("pgtrickle_explain", {"model_name": "nobody"}, "not found"),
    ("pgtrickle_refresh_history", {"model_name": "nobody"}, "no stream table coverage.nobody"),
    ("pgtrickle_check_freshness", {"model_name": "nobody"}, "not_found"),
]


@contextlib.contextmanager
def watched(server):
    """Looks at the sessions all the time. Yields the queries of those that were idle in a transaction for too long."""
    found, ended = set(), threading.Event()

    def look():
        while not ended.wait(0.2):
            found.update(query for (query,) in server(OPEN_TOO_LONG))

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield found
    finally:
        ended.set()
        looker.join()


def left_open(project, server):
    fresh = server.fresh("left_open")
    fresh(SOURCES + "create schema coverage")
    watching = Server()
    names = {f"well_{number}": CREATED for number in range(6)} | {"well_view": CREATED}
    for name in names:
        project.write(f"models/open/{name}.sql", VIEW if name == "well_view" else stream())
    for name, (model, _) in FAILING.items():
        project.write(f"models/open/{name}.sql", model)
    project.write("models/open/last.sql", LAST)
    failing = {name: pattern for name, (_, pattern) in FAILING.items()}

    def run(expect, *more):
        began = time.monotonic()
        with watched(watching) as found:
            project.run("--select", "open", *more, expect=expect)
        check(not found, f"left open by {', '.join(more)}: {found}\n{project.said}")
        check(time.monotonic() - began < 120, "a model waited")
        there = {name for name in names if name != "well_view"} | {"refused"} | (AFTERWARDS if IS_V2 else set())
        check(fresh.tables() == there, f"{fresh.tables() ^ there} are there or not, against what dbt said")

    # A connection for each model; then one for all of them.
    run({**failing, **names}, "--threads", "24")
    project.edit("models/open/refused.sql", "'on_recreate'", "'partition_by': 'customer_id', 'on_recreate'")
    failing["refused"] = "on_recreate is `fail`"
    again = {**failing, **dict.fromkeys(names, UNCHANGED)}
    run(again, "--threads", "24")
    run(again, "--threads", "1")
    for name, arguments, pattern in OPERATIONS:
        before = fresh.fingerprint()
        project.operation(name, **arguments, fails=pattern)
        open_now = fresh("select query from pg_stat_activity where datname = current_database() and state like 'idle in transaction%%'")
        check(not open_now and fresh.fingerprint() == before, f"{name} left {open_now}")
    for name in [*names, *FAILING, "last"]:
        project.remove(f"models/open/{name}.sql")
    watching.connection.close()
    fresh.connection.close()

"""The dbt project that is driven, and the server beside it."""

import json
import os
import pathlib
import re
import sys

import psycopg2
from invocations import IS_V2, Invocation

# The scenes that dbt v2 cannot do, and why. docs/dbt.md, "dbt v2", lists them.
SKIPPED_ON_V2 = {
    "documented": "dbt v2 2.0.0a4 writes an empty catalog for PostgreSQL: it sends `None` before its query",
    "source_freshness": "`dbt source freshness` of dbt v2 2.0.0a4 answers `Unhandled command`",
    "misspelled": "dbt v2 refuses each key in a config itself that it does not know",
}

CREATED = "^CREATE$"
UNCHANGED = "^UNCHANGED$"
TOTALS = "select customer_id, count(*) as orders, sum(amount) as total from {{ source('shop', 'orders') }} group by customer_id\n"
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


class Failed(Exception):
    """Something is not as it should be."""


def check(true, message):
    if not true:
        raise Failed(message)


def can_run(scene):
    return not (IS_V2 and scene.__name__ in SKIPPED_ON_V2)


class Project:
    """A dbt project in a folder of its own, which is the current one."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.said = ""
        self.warned = []

    def write(self, file, text):
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def remove(self, file):
        (self.folder / file).unlink()

    def edit(self, file, old, new):
        text = (self.folder / file).read_text()
        check(old in text, f"{file} has no `{old}`")
        self.write(file, text.replace(old, new))

    def read_json(self, file):
        return json.loads((self.folder / "target" / file).read_text())

    def dbt(self, *arguments):
        """Whether it succeeded, and what became of each node, by name: its message, or `status: message`."""
        invocation = Invocation(arguments)
        self.said, self.warned = invocation.said, invocation.warned
        if os.environ.get("COVERAGE_VERBOSE"):
            print(f"--- dbt {' '.join(arguments)}\n{self.said}", file=sys.stderr)
        return invocation.succeeded, invocation.nodes

    def run(self, *arguments, expect):
        """`dbt run`, in which exactly this becomes of the models that are named: `expect` maps them to a pattern."""
        _, nodes = self.dbt("run", *arguments)
        check(nodes, self.said)
        for name, pattern in expect.items():
            check(name in nodes, f"{name} was not run:\n{self.said}")
            check(re.search(pattern, nodes[name] or "", re.S), f"{name} is not `{pattern}` but `{nodes[name]}`")
        return nodes

    def operation(self, name, /, fails=None, says=None, **arguments):
        """`dbt run-operation`, which succeeds, or fails with a message that matches `fails`."""
        call = [name, "--args", json.dumps(arguments)] if arguments else [name]
        succeeded, _ = self.dbt("run-operation", *call)
        check(succeeded == (fails is None), f"{name} {'failed' if fails is None else 'did not fail'}:\n{self.said}")
        for pattern in filter(None, [fails, says]):
            check(re.search(pattern, self.said, re.M | re.S), f"{name} does not say `{pattern}`:\n{self.said}")

    def tests(self, *arguments, failing):
        """`dbt test`, in which exactly these fail."""
        _, nodes = self.dbt("test", *arguments)
        found = {re.sub(r"^dbt_pgtrickle_|_$", "", name) for name, message in nodes.items() if (message or "").startswith(("fail", "error"))}
        check(nodes and found == set(failing), f"tests that fail: {sorted(found)}\nthat should:     {sorted(failing)}\n{self.said}")


class Server:
    """The server that PGHOST and its like name."""

    def __init__(self):
        self.connection = psycopg2.connect(
            host=os.environ["PGHOST"], port=os.environ["PGPORT"], user=os.environ["PGUSER"],
            password=os.environ.get("PGPASSWORD", ""), dbname=os.environ["PGDATABASE"],
        )
        self.connection.autocommit = True

    def fresh(self, name):
        """An empty database of this server, which PGDATABASE names from now on."""
        self(f"drop database if exists {name} with (force)")
        self(f"create database {name}")
        os.environ["PGDATABASE"] = name
        return Server()

    def __call__(self, sql, *values):
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def table(self, name):
        """The catalog's row of a stream table."""
        rows = self("select to_jsonb(st) from pgtrickle.pgt_stream_tables as st where pgt_name = %s", name)
        check(rows, f"there is no stream table {name}")
        return rows[0][0]

    def mark(self, name):
        """Who made a stream table of the schema coverage, as it is written on its trigger."""
        rows = self("select obj_description(oid, 'pg_trigger')::json from pg_trigger where tgname = 'pgt_dml_guard' and tgrelid = %s::regclass", f"coverage.{name}")
        return rows[0][0]

    def tables(self):
        return {name for (name,) in self("select pgt_name from pgtrickle.pgt_stream_tables where pgt_schema <> 'pgtrickle'")}

    def fingerprint(self):
        """What every change of a stream table leaves another value of, for those that the scheduler lets alone."""
        return self("""
            select pgt_name, pgt_id, pgt_relid::oid, updated_at, defining_query, status
            from pgtrickle.pgt_stream_tables where schedule ~ 'h$' order by 1
        """)

"""A database of its own for each test process, on the server that the PG* variables name."""

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
from dbt.flags import set_from_args

pytest_plugins = ["dbt.tests.fixtures.project"]

# dbt renders the profile before a command has set its flags.
set_from_args(Namespace(), None)  # type: ignore[arg-type]


def server(database: str) -> Any:
    """A connection on which each statement commits."""
    connection = psycopg2.connect(dbname=database)
    connection.autocommit = True
    return connection


@contextmanager
def new_database(name: str) -> Iterator[str]:
    """A database with the extension. Test processes that ask for the same name wait for each other."""
    maintenance = server(os.environ["PGDATABASE"])
    with maintenance.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(hashtext(%s))", [name])
        cursor.execute(f'create database "{name}"')
        try:
            with server(name).cursor() as inside:
                inside.execute("create extension pg_trickle")
            yield name
        finally:
            cursor.execute(f'drop database "{name}" with (force)')
    maintenance.close()


@pytest.fixture(scope="session")
def database(worker_id: str) -> Iterator[str]:
    name = f"adapter_{os.getpid()}_{worker_id}"
    roles = [f"{name}_{number}" for number in (1, 2, 3)]
    with new_database(name), server(os.environ["PGDATABASE"]).cursor() as cursor:
        for number, role in enumerate(roles, start=1):
            cursor.execute(f"create role {role}")
            # dbt's own tests of grants read these.
            os.environ[f"DBT_TEST_USER_{number}"] = role
        yield name
    with server(os.environ["PGDATABASE"]).cursor() as cursor:
        cursor.execute(f"drop role {', '.join(roles)}")


def target(database: str) -> dict[str, Any]:
    return {
        "type": "pgtrickle",
        "host": os.environ["PGHOST"],
        "port": int(os.environ["PGPORT"]),
        "user": os.environ["PGUSER"],
        "pass": os.environ.get("PGPASSWORD", ""),
        "dbname": database,
        "threads": 4,
    }


@pytest.fixture(scope="class")
def dbt_profile_target(database: str) -> dict[str, Any]:
    return target(database)

"""What libpq and dbt-postgres do with the cases of connections.yml: cases on standard input, answers on standard output."""

import argparse
import json
import os
import sys

import psycopg2
from dbt.adapters.contracts.connection import Connection
from dbt.adapters.postgres.connections import PostgresConnectionManager
from dbt.config.runtime import load_profile
from dbt.flags import set_from_args
from dbt_common.context import set_invocation_context

ASK = "select current_database(), current_user, inet_client_port()"
OWN = dict(os.environ)


def by_libpq(case):
    return psycopg2.connect(case.get("url", ""))


def by_dbt(case):
    home = case["env"]["HOME"]
    arguments = {"PROFILES_DIR": home, "PROJECT_DIR": home, "LOG_CACHE_EVENTS": False, "WRITE_JSON": False}
    set_from_args(argparse.Namespace(**arguments), None)
    set_invocation_context(dict(os.environ))
    profile = load_profile(home, {})
    connection = Connection(type="postgres", name="a", credentials=profile.credentials)
    PostgresConnectionManager.open(connection)
    return connection.handle


def answer(case):
    os.environ.clear()
    os.environ.update({"PATH": OWN["PATH"], **case["env"]})
    try:
        handle = (by_dbt if case["profile"] else by_libpq)(case)
        with handle.cursor() as cursor:
            cursor.execute(ASK)
            database, role, port = cursor.fetchone()
        handle.close()
        return f"{database} {role} {port}"
    # Whatever it is, it is what a user would see instead of an answer.
    except (Exception, SystemExit) as error:
        return f"error: {type(error).__name__}: {error}"


answers = [answer(case) for case in json.load(sys.stdin)]
with os.fdopen(os.dup(1), "w") as out:
    json.dump(answers, out)

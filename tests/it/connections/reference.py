"""What libpq and dbt-postgres do with the cases of connections.yml, and what the programs psql and `dbt debug` do: cases on
standard input, answers on standard output."""

import argparse
import glob
import json
import os
import shutil
import subprocess
import sys

import psycopg2
from dbt.adapters.contracts.connection import Connection
from dbt.adapters.postgres.connections import PostgresConnectionManager
from dbt.cli.main import dbtRunner
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


def psql_with_tls():
    """psql of this machine; the one that comes with the tests' server cannot do TLS."""
    psql = shutil.which("psql", path=OWN["PATH"])
    if psql and open(psql, "rb").read(2) == b"#!":
        # Debian's wrapper, which names a host of its own where a case names none.
        psql = next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin/psql"), reverse=True)), None)
    probe = psql and subprocess.run([psql, "-X", "-w", "host=/nowhere sslmode=require"], capture_output=True, text=True)
    return psql if probe and "not compiled in" not in probe.stderr else None


def knows_system(psql):
    """`sslrootcert=system` came with PostgreSQL 16; before, it is the name of a file."""
    version = psql and subprocess.run([psql, "--version"], capture_output=True, text=True).stdout.split()[2]
    return bool(version) and int(version.split(".")[0]) >= 16


PSQL = psql_with_tls()
KNOWS_SYSTEM = knows_system(PSQL)


def psql(case):
    """What psql says, where there is one."""
    if not PSQL or ("sslrootcert=system" in (case["url"] or "") and not KNOWS_SYSTEM):
        return None
    where = ["-d", case["url"]] if case["url"] else []
    asked = subprocess.run(
        [PSQL, "-X", "-w", "-A", "-t", "-F", " ", "-c", ASK, *where], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return asked.stdout.strip() if asked.returncode == 0 else f"error: {asked.stderr.strip()}"


def dbt_debug(case):
    """Whether `dbt debug` finds that all is well."""
    home = case["env"]["HOME"]
    folders = ["--profiles-dir", home, "--project-dir", home, "--log-path", home]
    ran = dbtRunner().invoke(["--quiet", "--no-send-anonymous-usage-stats", "debug", *folders])
    return "ok" if ran.success else f"error: {ran.exception or 'dbt debug says so'}"


def answer(case):
    os.environ.clear()
    os.environ.update({"PATH": OWN["PATH"], **case["env"]})
    return {"library": library(case), "program": (dbt_debug if case["profile"] else psql)(case)}


def library(case):
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

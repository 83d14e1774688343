"""A server without pg_trickle, or with one that lacks what a model asks for."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture

from ..conftest import server
from .shop import ORDERS_CSV, model, stream_table, write

SOURCES = """
sources:
  - name: ordinary
    schema: "{{ target.schema }}"
    freshness: {error_after: {count: 1, period: hour}}
    tables:
      - name: unknown
        identifier: plain
      - name: loaded
        identifier: plain
        loaded_at_field: now()
"""


class Base:
    @pytest.fixture(scope="class")
    def seeds(self) -> dict[str, str]:
        return {"orders.csv": ORDERS_CSV}


class Bare(Base):
    @pytest.fixture(scope="class")
    def database(self, worker_id: str) -> Iterator[str]:
        name = f"adapter_bare_{os.getpid()}_{worker_id}"
        with server(os.environ["PGDATABASE"]).cursor() as cursor:
            cursor.execute(f"create database {name}")
            yield name
            cursor.execute(f"drop database {name} with (force)")


class TestMissing(Bare):
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {"plain.sql": model("table"), "one.sql": stream_table(), "two.sql": stream_table()}

    def test_dbt_debug_says_so(self, project: Any) -> None:
        _, log = run_dbt_and_capture(["debug"], expect_pass=False)
        assert f"pg_trickle is not installed in the database `{project.database}`" in log

    def test_a_run_says_so_once_and_everything_else_is_made(self, project: Any) -> None:
        results, log = run_dbt_and_capture(["build"], expect_pass=False)
        assert log.count("none of the project's 2 stream tables can be deployed") == 1
        assert {result.node.name: str(result.status) for result in results} == {
            "orders": "success",
            "plain": "success",
            "one": "error",
            "two": "error",
        }
        run_dbt(["docs", "generate"])

    def test_the_freshness_of_ordinary_tables_is_found(self, project: Any) -> None:
        write(project, "sources.yml", SOURCES)
        results = run_dbt(["source", "freshness"], expect_pass=False)
        found = {result.node.name: (str(result.status), result.message or "") for result in results}
        assert found["loaded"][0] == "pass"
        assert f"pg_trickle is not installed in the database `{project.database}`" in found["unknown"][1]

    @pytest.mark.parametrize("operation", ["refresh", "explain", "cdc_health", "refresh_history"])
    def test_operations_say_so(self, project: Any, operation: str) -> None:
        arguments = "{}" if operation == "cdc_health" else "{model_name: one}"
        _, log = run_dbt_and_capture(["run-operation", operation, "--args", arguments], expect_pass=False)
        assert f"pg_trickle is not installed in the database `{project.database}`" in log


class TestInstalledByAHook(Bare):
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {"one.sql": stream_table()}

    @pytest.fixture(scope="class")
    def project_config_update(self) -> dict[str, Any]:
        return {"on-run-start": ["create extension if not exists pg_trickle"]}

    def test_its_own_run_deploys(self, project: Any) -> None:
        run_dbt(["debug"], expect_pass=False)
        run_dbt(["build"])
        run_dbt(["debug"])
        run_dbt(["build"])


class TestNoRights(Base):
    """A role that may create schemas and tables, and has no rights on the schema of pg_trickle."""

    @pytest.fixture(scope="class")
    def database(self, worker_id: str) -> Iterator[str]:
        name = f"adapter_rights_{os.getpid()}_{worker_id}"
        with server(os.environ["PGDATABASE"]).cursor() as cursor:
            cursor.execute(f"create database {name}")
            cursor.execute(f"create role {name} login password 'secret'")
            cursor.execute(f"grant create on database {name} to {name}")
            with server(name).cursor() as inside:
                inside.execute("create extension pg_trickle")
                inside.execute("revoke all on schema pgtrickle from public")
            yield name
            cursor.execute(f"drop database {name} with (force)")
            cursor.execute(f"drop role {name}")

    @pytest.fixture(scope="class")
    def dbt_profile_target(self, dbt_profile_target: dict[str, Any], database: str) -> dict[str, Any]:
        return {**dbt_profile_target, "user": database, "pass": "secret"}

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {"one.sql": stream_table()}

    def test_dbt_debug_names_the_role_and_what_it_needs(self, project: Any) -> None:
        _, log = run_dbt_and_capture(["debug"], expect_pass=False)
        assert f"the role `{project.database}` may not read pg_trickle's tables" in log
        assert f'grant usage on schema pgtrickle to "{project.database}"' in log

    def test_ordinary_nodes_work(self, project: Any) -> None:
        run_dbt(["seed"])
        run_dbt(["docs", "generate"])
        run_dbt(["show", "--inline", "select * from {{ ref('orders') }}"])
        write(project, "sources.yml", SOURCES.replace("plain", "orders"))
        results = run_dbt(["source", "freshness", "--select", "source:ordinary.loaded"])
        assert [str(result.status) for result in results] == ["pass"]

    def test_a_run_says_once_why_its_stream_tables_cannot_be_deployed(self, project: Any) -> None:
        results, log = run_dbt_and_capture(["run"], expect_pass=False)
        assert log.count("none of the project's 1 stream tables can be deployed") == 1
        assert "may not read pg_trickle's tables" in results[0].message


class TestTooOld(Base):
    @pytest.fixture(scope="class")
    def database(self, worker_id: str) -> Iterator[str]:
        name = f"adapter_old_{os.getpid()}_{worker_id}"
        with server(os.environ["PGDATABASE"]).cursor() as cursor:
            cursor.execute(f"create database {name}")
            with server(name).cursor() as inside:
                inside.execute("create extension pg_trickle")
                # An older one: without the parameter that comes last.
                inside.execute("select oid::regprocedure from pg_proc where proname = 'create_stream_table'")
                (signature,) = inside.fetchone()
                inside.execute(f"alter function {signature} rename to create_of_later")
                inside.execute(
                    "create function pgtrickle.create_stream_table(name text, query text, schedule text default '1m', "
                    "refresh_mode text default 'AUTO') returns void language sql as $$ select pgtrickle.create_of_later("
                    "name => $1, query => $2, schedule => $3, refresh_mode => $4) $$"
                )
            yield name
            cursor.execute(f"drop database {name} with (force)")

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {"one.sql": stream_table(append_only=True), "two.sql": stream_table()}

    def test_a_run_names_all_settings_at_once(self, project: Any) -> None:
        results, log = run_dbt_and_capture(["build"], expect_pass=False)
        assert log.count("is too old for settings of this project") == 1
        assert "model.test.one: append_only" in log
        assert {result.node.name: str(result.status) for result in results}["two"] == "success"


class TestRoundTrips(Base):
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {f"plain_{number}.sql": model("table") for number in range(6)}

    def test_connections_and_models_cost_no_query_of_the_adapter(self, project: Any) -> None:
        run_dbt(["seed"])
        _, log = run_dbt_and_capture(["--debug", "run", "--threads", "6"])
        assert log.count("from pg_catalog.pg_extension") == 1
        assert log.count("from pgtrickle.pgt_stream_tables") == 1

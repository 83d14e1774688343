"""What the classes of dbt's own suite need here."""

import csv
import os
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from ..conftest import new_database, target
from .bases import BASES, SKIPPED

HOOK_COLUMNS = [
    "test_state",
    *(f"target_{field}" for field in ["dbname", "host", "name", "schema", "type", "user", "pass", "threads"]),
    "run_started_at",
    "invocation_id",
    "thread_id",
]


class OwnFiles:
    """The suite reads and removes a folder beside the test; here it is a temporary one."""

    @pytest.fixture(scope="class")
    def test_data_dir(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("data")
        columns = ", ".join(f"{name} {'integer' if name.endswith('threads') else 'text'}" for name in HOOK_COLUMNS)
        for kind in ["model", "run"]:
            table = f"{{schema}}.on_{kind}_hook"
            (folder / f"seed_{kind}.sql").write_text(f"drop table if exists {table}; create table {table} ({columns})")
        return folder


class OwnTarget(OwnFiles):
    """The suite expects the target with which dbt-postgres is tested. This one is compared here, and shown as that one."""

    def get_ctx_vars(self, *args: Any, **named: Any) -> Any:
        found = super().get_ctx_vars(*args, **named)  # type: ignore[misc]
        project = named.get("project", args[-1])
        expected = {
            "type": ("pgtrickle", "postgres"),
            "user": (os.environ["PGUSER"], "root"),
            "dbname": (project.database, "dbt"),
        }
        for row in found if isinstance(found, list) else [found]:
            for field, (own, theirs) in expected.items():
                assert row[f"target_{field}"] == own
                row[f"target_{field}"] = theirs
        return found


class BigSeed:
    """The suite writes a file into a folder beside the test; here it is a temporary one."""

    @pytest.fixture(scope="class")
    def test_data_dir(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("big") / "data"


class AsPostgres:
    """Models that have an own branch for the type `postgres`."""

    def interpolate_macro_namespace(self, model: str, macro: str) -> str:
        text: str = super().interpolate_macro_namespace(model, macro)  # type: ignore[misc]
        return text.replace("target.type == 'postgres'", "target.type == 'pgtrickle'")


class MixedCaseDatabase:
    """The suite names dbt-postgres's own server; here it is that of the other tests."""

    @pytest.fixture(scope="class")
    def dbt_profile_target(self, worker_id: str) -> Iterator[dict[str, Any]]:
        with new_database(f"adapterMixedCase{os.getpid()}{worker_id}") as name:
            yield target(name)


class SeedWithByteOrderMark:
    """The suite copies a file that does not come with it; its rows are those of the table to compare with."""

    @pytest.fixture(scope="class", autouse=True)
    def setUp(self, project: Any) -> None:
        from dbt.tests.adapter.simple_seed.seeds import seeds__expected_sql

        project.run_sql(seeds__expected_sql)
        rows = project.run_sql("select * from {schema}.seed_expected", fetch="all")
        with Path(str(project.project_root), "seeds", "seed_bom.csv").open("w", encoding="utf-8-sig") as file:
            writer = csv.writer(file)
            writer.writerow(["seed_id", "first_name", "email", "ip_address", "birthday"])
            writer.writerows(rows)


class ShortAuditSchema:
    """PostgreSQL cuts the name of a schema at 63 characters."""

    audit_schema: str

    @pytest.fixture(autouse=True)
    def setup_audit_schema(self, project: Any, setup_method: Any) -> None:
        self.audit_schema = self.audit_schema[:63]


class VersionOfTheAdapter:
    """dbt-postgres leaves this test out as well: it compares dbt-core's version with the adapter's, which differ."""

    def test_matches_comment(self, project: Any) -> None:
        pytest.skip("it takes the adapter's version for dbt-core's")


class DefaultArguments:
    expect_default_arg_support = True


MIXINS = {
    "BaseDateSpine": AsPostgres,
    "BaseGetIntervalsBetween": AsPostgres,
    "BaseMacroArgsQueryComments": VersionOfTheAdapter,
    "BaseSeedSpecificFormats": BigSeed,
    "BaseSimpleCopyUppercase": MixedCaseDatabase,
    "BaseSimpleSeedWithBOM": SeedWithByteOrderMark,
    "SqlUDFDefaultArgSupport": DefaultArguments,
}


def mixin(module: str, name: str) -> type | None:
    """What a class of the suite needs of the adapter that inherits it."""
    if module == "store_test_failures_tests.basic":
        return ShortAuditSchema
    return OwnTarget if module.startswith("hooks.") else MIXINS.get(name)


def inherited(modules: Iterable[str], own_module: str) -> Iterator[tuple[str, type]]:
    """The classes of these modules, for a module of tests."""
    for module in modules:
        try:
            found = import_module(f"dbt.tests.adapter.{module}")
        except ModuleNotFoundError:
            continue
        for name in BASES[module]:
            base = getattr(found, name, None)
            if base is None:
                continue
            own = mixin(module, name)
            bases = (base,) if own is None else (own, base)
            test = type(f"Test{name.removeprefix('Base')}", bases, {"__module__": own_module})
            yield test.__name__, pytest.mark.skip(SKIPPED[name])(test) if name in SKIPPED else test

"""dbt's own suite for adapters, with the classes that dbt-postgres inherits and the expectations that they come with."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

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


class SeedWithByteOrderMark:
    """The suite copies a file that does not come with it; its rows are those of the table to compare with."""

    @pytest.fixture(scope="class", autouse=True)
    def setUp(self, project: Any) -> None:
        from dbt.tests.adapter.simple_seed.seeds import seeds__expected_sql

        project.run_sql(seeds__expected_sql)
        rows = project.run_sql("select * from {schema}.seed_expected", fetch="all")
        names = "seed_id,first_name,email,ip_address,birthday"
        lines = [names, *(",".join(str(value) for value in row) for row in rows)]
        Path(str(project.project_root), "seeds", "seed_bom.csv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")


class ShortAuditSchema:
    """PostgreSQL cuts the name of a schema at 63 characters."""

    audit_schema: str

    @pytest.fixture(autouse=True)
    def setup_audit_schema(self, project: Any, setup_method: Any) -> None:
        self.audit_schema = self.audit_schema[:63]


class VersionOfTheAdapter:
    """dbt-postgres leaves this test out as well: it compares dbt-core's version with the adapter's, which differ."""

    def test_matches_comment(self, project: Any, get_package_version: Any) -> None:
        pytest.skip("it takes the adapter's version for dbt-core's")


class DefaultArguments:
    expect_default_arg_support = True


def mixin(module: str, name: str) -> type | None:
    """What a class of the suite needs of the adapter that inherits it."""
    if module.startswith("hooks.") or name == "BaseSeedSpecificFormats":
        return OwnFiles
    return {
        "BaseSimpleSeedWithBOM": SeedWithByteOrderMark,
        "BaseMacroArgsQueryComments": VersionOfTheAdapter,
        "SqlUDFDefaultArgSupport": DefaultArguments,
    }.get(name, ShortAuditSchema if module == "store_test_failures_tests.basic" else None)


def inherited() -> Iterator[tuple[str, type]]:
    for module, names in BASES.items():
        try:
            found = import_module(f"dbt.tests.adapter.{module}")
        except ModuleNotFoundError:
            continue
        for name in names:
            base = getattr(found, name, None)
            if base is None:
                continue
            own = mixin(module, name)
            bases = (base,) if own is None else (own, base)
            test = type(f"Test{name.removeprefix('Base')}", bases, {"__module__": __name__})
            yield test.__name__, pytest.mark.skip(SKIPPED[name])(test) if name in SKIPPED else test


globals().update(inherited())

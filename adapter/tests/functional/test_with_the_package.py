"""A project that has the dbt package as well, as for targets of the type postgres."""

import json
from pathlib import Path
from typing import Any

import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture, write_file

from dbt.include.pgtrickle import DBT_PACKAGE_PATH

from .shop import ORDERS_CSV, deployed, messages, stream_table


class Base:
    @pytest.fixture(scope="class")
    def seeds(self) -> dict[str, str]:
        return {"orders.csv": ORDERS_CSV}

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        tests = "models:\n  - name: totals\n    data_tests: [dbt_pgtrickle.stream_table_healthy]"
        return {"totals.sql": stream_table(), "_models.yml": tests}

    @pytest.fixture(scope="class")
    def dbt_profile_data(self, unique_schema: str, dbt_profile_target: dict[str, Any]) -> dict[str, Any]:
        outputs = {
            "default": {**dbt_profile_target, "schema": unique_schema},
            "postgres": {**dbt_profile_target, "schema": unique_schema, "type": "postgres"},
        }
        return {"test": {"outputs": outputs, "target": "default"}}


class TestBoth(Base):
    @pytest.fixture(scope="class")
    def packages(self) -> dict[str, Any]:
        return {"packages": [{"local": DBT_PACKAGE_PATH}]}

    @pytest.fixture(scope="class")
    def project_config_update(self) -> dict[str, Any]:
        return {"dispatch": [{"macro_namespace": "dbt", "search_order": ["test", "dbt_pgtrickle", "dbt"]}]}

    def test_moving_between_them_changes_nothing(self, project: Any) -> None:
        run_dbt(["deps"])
        run_dbt(["build", "--target", "postgres"])
        before = deployed(project, "totals")
        assert before is not None
        assert messages(run_dbt(["build"]))["totals"].startswith(("UNCHANGED", "ALTER (mark)"))
        after = deployed(project, "totals")
        assert after == before
        run_dbt(["build", "--target", "postgres"])
        assert deployed(project, "totals") == before

    def test_the_installed_package_is_the_one_that_is_used(self, project: Any) -> None:
        macros = json.loads(Path(str(project.project_root), "target", "manifest.json").read_text())["macros"]
        paths = {macro["original_file_path"] for name, macro in macros.items() if name == "macro.dbt_pgtrickle.loaded_at"}
        assert len(paths) == 1


class TestAnotherVersion(Base):
    @pytest.fixture(scope="class", autouse=True)
    def package(self, project_root: Any) -> None:
        folder = Path(str(project_root), "dbt_packages", "dbt_pgtrickle")
        folder.mkdir(parents=True)
        (folder / "macros").symlink_to(Path(DBT_PACKAGE_PATH, "macros"))
        text = Path(DBT_PACKAGE_PATH, "dbt_project.yml").read_text()
        write_file(text.replace('version: "0', 'version: "9'), folder, "dbt_project.yml")

    @pytest.fixture(scope="class")
    def packages(self) -> dict[str, Any]:
        return {"packages": [{"local": "dbt_packages/dbt_pgtrickle"}]}

    def test_an_installed_package_of_another_version_is_a_warning(self, project: Any) -> None:
        _, log = run_dbt_and_capture(["parse"])
        assert log.count("take dbt_pgtrickle out of packages.yml, or install") == 1

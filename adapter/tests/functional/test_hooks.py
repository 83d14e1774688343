"""Hooks of a run see the target of this adapter."""

from typing import Any

import pytest
from dbt.tests.util import run_dbt

SEEN = "insert into {{ target.schema }}.seen values ('WHEN', '{{ target.type }}', '{{ target.dbname }}', '{{ target.user }}')"


class TestRunHooks:
    @pytest.fixture(scope="class")
    def project_config_update(self) -> dict[str, Any]:
        table = "create table if not exists {{ target.schema }}.seen (at text, type text, dbname text, role text)"
        return {
            "on-run-start": [table, SEEN.replace("WHEN", "start")],
            "on-run-end": [SEEN.replace("WHEN", "end")],
        }

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {"one.sql": "select 1 as id"}

    def test_they_run_before_and_after_the_models(self, project: Any, dbt_profile_target: dict[str, Any]) -> None:
        run_dbt(["run"])
        target = ("pgtrickle", project.database, dbt_profile_target["user"])
        assert project.run_sql("select * from {schema}.seen", fetch="all") == [("start", *target), ("end", *target)]

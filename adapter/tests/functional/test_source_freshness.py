"""`dbt source freshness` of stream tables, with no loaded_at_field, next to ordinary tables."""

import json
from pathlib import Path
from typing import Any

import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture

SOURCES = """
sources:
  - name: streams
    schema: "{{ target.schema }}"
    freshness: {error_after: {count: 1, period: hour}}
    tables:
      - name: fresh
      - name: stale
      - name: suspended
      - name: never_refreshed
      - name: missing
      - name: ordinary
      - name: loaded
        loaded_at_field: at
"""


class TestFreshness:
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {"sources.yml": SOURCES}

    @pytest.fixture(scope="class", autouse=True)
    def tables(self, project: Any) -> None:
        project.run_sql("create table {schema}.ordinary as select 1 as id")
        project.run_sql("create table {schema}.loaded as select 1 as id, now() as at")
        query = f"select id from {project.test_schema}.ordinary"
        # On a day's schedule no scheduler refreshes them meanwhile.
        for name, initialize in [("fresh", "true"), ("stale", "true"), ("suspended", "true"), ("never_refreshed", "false")]:
            project.run_sql(
                f"select pgtrickle.create_stream_table('{project.test_schema}.{name}', '{query}', '1d', "
                f"initialize => {initialize})"
            )
        project.run_sql(
            "update pgtrickle.pgt_stream_tables set last_refresh_at = now() - interval '3 hours' "
            f"where pgt_schema = '{project.test_schema}' and pgt_name = 'stale'"
        )
        project.run_sql(f"select pgtrickle.alter_stream_table('{project.test_schema}.suspended', status => 'SUSPENDED')")

    def test_each_source_gets_its_own_answer(self, project: Any) -> None:
        results = run_dbt(["source", "freshness"], expect_pass=False)
        found = {result.node.name: (str(result.status), result.message or "") for result in results}
        assert {name: status for name, (status, _) in found.items()} == {
            "fresh": "pass",
            "stale": "error",
            "suspended": "runtime error",
            "never_refreshed": "runtime error",
            "missing": "runtime error",
            "ordinary": "runtime error",
            "loaded": "pass",
        }
        assert "has no age: it is not refreshed until it is resumed" in found["suspended"][1]
        assert "has no age: it has never been populated" in found["never_refreshed"][1]
        assert "does not exist" in found["missing"][1]
        assert "is not a stream table: its freshness needs a loaded_at_field" in found["ordinary"][1]
        ages = json.loads(Path(str(project.project_root), "target", "sources.json").read_text())["results"]
        stale = next(result for result in ages if result["unique_id"].endswith(".stale"))
        assert 10_800 <= stale["max_loaded_at_time_ago_in_s"] < 11_400

    def test_all_stream_tables_are_asked_for_in_one_query(self, project: Any) -> None:
        _, log = run_dbt_and_capture(["--debug", "source", "freshness"], expect_pass=False)
        # The fresh and the stale one in the first, and one more for each that the first had no row of.
        assert log.count("source.last_modified, clock_timestamp()") == 5

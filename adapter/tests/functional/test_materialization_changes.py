"""A model that was something else before, or becomes something else."""

from pathlib import Path
from typing import Any

import pytest
from dbt.tests.util import run_dbt

from .shop import ORDERS_CSV, deployed, messages, model, stream_table, write

OTHERS = {"table": "r", "view": "v", "incremental": "r", "materialized_view": "m"}


class Base:
    @pytest.fixture(scope="class")
    def seeds(self) -> dict[str, str]:
        return {"orders.csv": ORDERS_CSV}


class TestBothWays(Base):
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {"totals.sql": stream_table()}

    @pytest.mark.parametrize("other", OTHERS)
    def test_a_stream_table_becomes_something_else_and_back(self, project: Any, other: str) -> None:
        run_dbt(["seed"])
        write(project, "totals.sql", stream_table())
        run_dbt(["run"])
        assert deployed(project, "totals") is not None

        write(project, "totals.sql", model(other))
        run_dbt(["run"])
        assert deployed(project, "totals") is None
        kind = project.run_sql("select relkind::text from pg_class where oid = '{schema}.totals'::regclass", fetch="one")
        assert kind == (OTHERS[other],)
        assert project.run_sql("select count(*) from {schema}.totals", fetch="one") == (2,)
        left = project.run_sql("select count(*) from pg_class where relname like 'totals%dbt%'", fetch="one")
        assert left == (0,)
        run_dbt(["run"])

        write(project, "totals.sql", stream_table())
        assert messages(run_dbt(["run"]))["totals"] == "CREATE"
        assert deployed(project, "totals") is not None


class TestSeed(Base):
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {"totals.sql": stream_table()}

    def test_a_seed_takes_the_place_of_a_stream_table_with_full_refresh_only(self, project: Any) -> None:
        run_dbt(["build"])
        before = deployed(project, "totals")
        Path(str(project.project_root), "models", "totals.sql").unlink()
        Path(str(project.project_root), "seeds", "totals.csv").write_text("id\n1\n")
        results = run_dbt(["seed", "--select", "totals"], expect_pass=False)
        assert "it is a stream table; `dbt seed --full-refresh` drops it" in results[0].message
        assert deployed(project, "totals") == before
        run_dbt(["seed", "--select", "totals", "--full-refresh"])
        assert deployed(project, "totals") is None
        run_dbt(["seed"])
        assert project.run_sql("select * from {schema}.totals", fetch="all") == [(1,)]


class TestIndexes(Base):
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {"totals.sql": stream_table()}

    def test_an_incremental_model_in_the_place_of_a_stream_table_gets_its_indexes(self, project: Any) -> None:
        run_dbt(["build"])
        text = model("incremental").replace("'incremental'", "'incremental', indexes=[{'columns': ['customer']}]")
        write(project, "totals.sql", text)
        run_dbt(["run"])
        indexes = "select count(*) from pg_indexes where schemaname = '{schema}' and tablename = 'totals'"
        assert project.run_sql(indexes, fetch="one") == (1,)


class TestWhatReads(Base):
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {"totals.sql": stream_table(), "big.sql": stream_table("select customer from {{ ref('totals') }}")}

    def test_what_another_stream_table_reads_is_kept(self, project: Any) -> None:
        run_dbt(["build"])
        before = deployed(project, "totals"), deployed(project, "big")
        write(project, "totals.sql", model("table"))
        results = run_dbt(["run", "--select", "totals"], expect_pass=False)
        assert f"{project.test_schema}.big" in results[0].message
        assert (deployed(project, "totals"), deployed(project, "big")) == before

    def test_a_failing_successor_leaves_the_stream_table(self, project: Any) -> None:
        before = deployed(project, "big")
        write(project, "totals.sql", stream_table())
        write(project, "big.sql", model("table", "select 1 / (id - 1) as broken from {{ ref('orders') }}"))
        run_dbt(["run", "--select", "big"], expect_pass=False)
        assert deployed(project, "big") == before


class TestDropAndRename(Base):
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {"totals.sql": stream_table()}

    @pytest.fixture(scope="class")
    def macros(self) -> dict[str, str]:
        return {
            "move.sql": """{% macro move(to) %}
  {%- set relation = adapter.get_relation(target.dbname, target.schema, 'totals') -%}
  {%- do adapter.rename_relation(relation, relation.incorporate(path={'identifier': to})) -%}
{% endmacro %}""",
            "remove.sql": """{% macro remove() %}
  {%- do adapter.drop_relation(adapter.get_relation(target.dbname, target.schema, 'totals')) -%}
  {%- do adapter.commit() -%}
{% endmacro %}""",
        }

    def test_a_rename_is_refused(self, project: Any) -> None:
        run_dbt(["build"])
        before = deployed(project, "totals")
        run_dbt(["run-operation", "move", "--args", "{to: elsewhere}"], expect_pass=False)
        assert deployed(project, "totals") == before

    def test_drop_relation_drops_it_from_the_engine(self, project: Any) -> None:
        run_dbt(["run-operation", "remove"])
        assert deployed(project, "totals") is None

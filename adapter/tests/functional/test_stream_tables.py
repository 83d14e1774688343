"""A stream table model from its first run on."""

from typing import Any

import pytest
from dbt.cli import params
from dbt.tests.util import relation_from_name, run_dbt

from .shop import ORDERS_CSV, TOTALS, deployed, messages, stream_table, write


class TestDeploy:
    @pytest.fixture(scope="class")
    def seeds(self) -> dict[str, str]:
        return {"orders.csv": ORDERS_CSV}

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {
            "totals.sql": stream_table(),
            # What `dbt_utils.star` does.
            "starred.sql": """{{ config(materialized='table') }}
                select {{ adapter.get_columns_in_relation(ref('totals')) | map(attribute='name') | join(', ') }}
                from {{ ref('totals') }}""",
        }

    def test_each_change_takes_the_least_that_does_it(self, project: Any) -> None:
        run_dbt(["seed"])
        assert messages(run_dbt(["run"]))["totals"] == "CREATE"
        first = deployed(project, "totals")
        assert first is not None

        assert messages(run_dbt(["run"]))["totals"] == "UNCHANGED"
        assert deployed(project, "totals") == first

        write(project, "totals.sql", stream_table(schedule="2h"))
        assert messages(run_dbt(["run"]))["totals"] == "ALTER (schedule)"
        rescheduled = deployed(project, "totals")
        assert rescheduled is not None
        assert (rescheduled[0], rescheduled[2]) == (first[0], "2h")

        write(project, "totals.sql", stream_table(TOTALS + " having sum(amount) > 25", schedule="2h"))
        assert messages(run_dbt(["run"]))["totals"] == "ALTER (query)"
        assert project.run_sql("select customer, total from {schema}.totals", fetch="all") == [("anna", 40)]
        altered = deployed(project, "totals")
        assert altered is not None
        assert altered[0] == first[0]

        assert messages(run_dbt(["run", "--full-refresh", "--select", "totals"]))["totals"] == "RECREATE (full refresh)"
        recreated = deployed(project, "totals")
        assert recreated is not None
        assert recreated[0] != first[0]

    def test_it_is_listed_as_a_stream_table(self, project: Any) -> None:
        with project.adapter.connection_named("_test"):
            relation = project.adapter.Relation.create(database=project.database, schema=project.test_schema)
            types = {found.identifier: str(found.type) for found in project.adapter.list_relations_without_caching(relation)}
        assert {"orders": "table", "starred": "table", "totals": "stream_table"}.items() <= types.items()

    def test_the_columns_of_pg_trickle_are_hidden(self, project: Any) -> None:
        with project.adapter.connection_named("_test"):
            columns = project.adapter.get_columns_in_relation(relation_from_name(project.adapter, "totals"))
        assert [column.name for column in columns] == ["customer", "total"]
        columns = project.run_sql(
            "select column_name from information_schema.columns where table_schema = '{schema}' and table_name = 'starred'",
            fetch="all",
        )
        assert sorted(columns) == [("customer",), ("total",)]


class TestRecreate:
    @pytest.fixture(scope="class")
    def seeds(self) -> dict[str, str]:
        return {"orders.csv": ORDERS_CSV}

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {
            "totals.sql": stream_table(),
            "big.sql": stream_table("select customer from {{ ref('totals') }} where total > 25"),
            "names.sql": stream_table("select upper(customer) as name from {{ ref('big') }}"),
        }

    def test_what_reads_a_recreated_stream_table_is_created_by_the_same_run(self, project: Any) -> None:
        run_dbt(["build"])
        write(project, "totals.sql", stream_table(TOTALS.replace("sum(amount)", "sum(amount)::text")))
        write(project, "big.sql", stream_table("select customer from {{ ref('totals') }} where total = '40'"))
        done = messages(run_dbt(["run"]))
        assert done == {"totals": "RECREATE (type of total)", "big": "CREATE", "names": "CREATE"}
        assert project.run_sql("select name from {schema}.names", fetch="all") == [("ANNA",)]

    def test_a_full_refresh_recreates_all(self, project: Any) -> None:
        done = messages(run_dbt(["run", "--full-refresh"]))
        assert done["totals"] == "RECREATE (full refresh)"
        assert deployed(project, "names") is not None


class TestReducedQueries:
    @pytest.fixture(scope="class")
    def seeds(self) -> dict[str, str]:
        return {"orders.csv": ORDERS_CSV}

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {
            "totals.sql": stream_table(refresh_mode="FULL"),
            "kept.sql": "{{ config(materialized='stable_view') }} select * from {{ ref('orders') }}",
            "plain.sql": "{{ config(materialized='table') }} select * from {{ ref('orders') }}",
        }

    @pytest.mark.parametrize("option", [["--empty"], ["--sample", "1 day"]])
    def test_an_option_that_reduces_queries_leaves_what_would_keep_them(self, project: Any, option: list[str]) -> None:
        if option[0] == "--sample" and not hasattr(params, "sample"):
            pytest.skip("dbt has --sample since 1.10")
        run_dbt(["build"])
        before = deployed(project, "totals")
        results = run_dbt(["run", *option], expect_pass=False)
        assert {result.node.name: str(result.status) for result in results} == {
            "totals": "error",
            "kept": "error",
            "plain": "success",
        }
        refused = [result for result in results if result.status == "error"]
        assert all(f"cannot be built with {option[0]}" in result.message for result in refused)
        assert deployed(project, "totals") == before
        assert project.run_sql("select count(*) from {schema}.kept", fetch="one") == (3,)


class TestThreads:
    @pytest.fixture(scope="class")
    def seeds(self) -> dict[str, str]:
        return {"orders.csv": ORDERS_CSV}

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {f"totals_{number}.sql": stream_table() for number in range(16)}

    def test_eight_threads_create_at_once(self, project: Any) -> None:
        run_dbt(["seed"])
        assert set(messages(run_dbt(["run", "--threads", "8"])).values()) == {"CREATE"}
        assert set(messages(run_dbt(["run", "--threads", "8"])).values()) == {"UNCHANGED"}


class TestEverythingAround:
    """Grants, comments and contracts."""

    @pytest.fixture(scope="class")
    def seeds(self) -> dict[str, str]:
        return {"orders.csv": ORDERS_CSV}

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        config = ", grants={'select': ['pg_monitor']}, persist_docs={'relation': true, 'columns': true}"
        return {
            "totals.sql": stream_table(config=config + ", contract={'enforced': true}"),
            "_models.yml": """
models:
  - name: totals
    description: Sums, by customer
    columns:
      - name: customer
        description: Whose orders
        data_type: text
      - name: total
        description: Of all orders
        data_type: bigint
""",
        }

    def test_grants_comments_and_contract_are_those_of_the_model(self, project: Any) -> None:
        run_dbt(["seed"])
        run_dbt(["run"])
        said = project.run_sql(
            "select obj_description(c.oid), col_description(c.oid, a.attnum), has_table_privilege('pg_monitor', c.oid, 'select') "
            "from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attname = 'total' "
            "where c.oid = '{schema}.totals'::regclass",
            fetch="one",
        )
        assert said == ("Sums, by customer", "Of all orders", True)

    def test_a_query_that_breaks_the_contract_fails(self, project: Any) -> None:
        before = deployed(project, "totals")
        write(
            project,
            "totals.sql",
            stream_table(TOTALS.replace("sum(amount)", "'much'::text"), ", contract={'enforced': true}"),
        )
        results = run_dbt(["run"], expect_pass=False)
        assert "contract" in results[0].message
        assert deployed(project, "totals") == before


class TestSnapshot:
    @pytest.fixture(scope="class")
    def seeds(self) -> dict[str, str]:
        return {"orders.csv": ORDERS_CSV}

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {"totals.sql": stream_table()}

    @pytest.fixture(scope="class")
    def snapshots(self) -> dict[str, str]:
        return {
            "seen.sql": """{% snapshot seen %}
{{ config(target_schema=schema, unique_key='customer', strategy='check', check_cols='all') }}
select * from {{ ref('totals') }}
{% endsnapshot %}"""
        }

    def test_a_snapshot_of_a_stream_table_keeps_its_history(self, project: Any) -> None:
        run_dbt(["build"])
        project.run_sql("insert into {schema}.orders values (4, 'ben', 5)")
        project.run_sql(f"select pgtrickle.refresh_stream_table('{project.test_schema}.totals')")
        run_dbt(["snapshot"])
        kept = project.run_sql("select customer, total from {schema}.seen where dbt_valid_to is null order by 1", fetch="all")
        assert kept == [("anna", 40), ("ben", 25)]
        assert project.run_sql("select count(*) from {schema}.seen", fetch="one") == (3,)

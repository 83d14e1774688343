"""Operations, tests without a prefix, and the adapter's methods in Jinja."""

from typing import Any

import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture

from .shop import ORDERS_CSV, deployed, stream_table

TESTS = """
models:
  - name: totals
    data_tests: [pgtrickle_not_stale, pgtrickle_no_errors, stream_table_healthy, pgtrickle_matches_query]
"""

BY_HAND = """
{% macro create() %}
  {%- do adapter.pgtrickle_create_stream_table(
      target.schema ~ '.by_hand', 'select id, amount from ' ~ target.schema ~ '.orders', '1h', 'DIFFERENTIAL'
  ) -%}
{% endmacro %}

{% macro alter(schedule) %}
  {%- do adapter.pgtrickle_alter_if_changed(target.schema ~ '.by_hand', schedule=schedule) -%}
{% endmacro %}

{% macro refresh_by_hand() %}{% do adapter.pgtrickle_refresh_stream_table(target.schema ~ '.by_hand') %}{% endmacro %}

{% macro drop_by_hand() %}{% do adapter.pgtrickle_drop_stream_table(target.schema ~ '.by_hand') %}{% endmacro %}

{% macro info() %}
  {%- set found = adapter.pgtrickle_get_stream_table_info(target.schema ~ '.by_hand') -%}
  {%- do log('info: ' ~ (found.schedule if found else 'none'), info=true) -%}
{% endmacro %}
"""


class Base:
    @pytest.fixture(scope="class")
    def seeds(self) -> dict[str, str]:
        return {"orders.csv": ORDERS_CSV}

    @pytest.fixture(scope="class")
    def macros(self) -> dict[str, str]:
        return {"by_hand.sql": BY_HAND}


def operation(name: str, arguments: str = "{}", expect_pass: bool = True) -> str:
    _, log = run_dbt_and_capture(["run-operation", name, "--args", arguments], expect_pass=expect_pass)
    return str(log)


class TestOperations(Base):
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {"totals.sql": stream_table(), "_models.yml": TESTS}

    def test_each_has_its_short_name(self, project: Any) -> None:
        run_dbt(["build"])
        before = deployed(project, "totals")
        assert before is not None
        assert "totals" in operation("refresh", "{model_name: totals}")
        after = deployed(project, "totals")
        assert after is not None
        assert after[4] > before[4]
        assert "refresh_mode" in operation("explain", "{model_name: totals}")
        assert "change capture: " in operation("cdc_health")
        assert "refreshes of " in operation("refresh_history", "{model_name: totals}")
        assert "refreshes of " in operation("refresh_history", "{model_name: totals, limit: 1}")
        assert "totals" in operation("pgtrickle_refresh", "{model_name: totals}")
        operation("refresh", "{model_name: nowhere}", expect_pass=False)

    def test_the_tests_fail_for_a_table_that_is_stale_or_in_error(self, project: Any) -> None:
        assert len(run_dbt(["test"])) == 4
        project.run_sql(
            "update pgtrickle.pgt_stream_tables set last_refresh_at = now() - interval '1 day', status = 'ERROR' "
            f"where pgt_schema = '{project.test_schema}'"
        )
        results = run_dbt(["test"], expect_pass=False)
        failed = {result.node.test_metadata.name for result in results if result.status == "fail"}
        assert failed == {"pgtrickle_not_stale", "pgtrickle_no_errors", "stream_table_healthy"}


class TestMethods(Base):
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {"totals.sql": stream_table()}

    def test_a_table_that_is_no_model_is_made_altered_refreshed_and_dropped(self, project: Any) -> None:
        run_dbt(["seed"])
        operation("create")
        made = deployed(project, "by_hand")
        assert made is not None
        assert "info: 1h" in operation("info")

        operation("alter", "{schedule: 1h}")
        assert deployed(project, "by_hand") == made
        operation("alter", "{schedule: 2h}")
        assert "info: 2h" in operation("info")

        operation("refresh_by_hand")
        refreshed = deployed(project, "by_hand")
        assert refreshed is not None
        assert refreshed[4] > made[4]

        operation("drop_by_hand")
        assert deployed(project, "by_hand") is None
        assert "info: none" in operation("info")


class TestMethodsInHooks(Base):
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {
            "kept.sql": stream_table("select id, amount from {{ ref('orders') }}"),
            "failing.sql": """{{ config(materialized='table',
                pre_hook="{% do adapter.pgtrickle_alter_if_changed(target.schema ~ '.kept', schedule='9h') %}") }}
                -- depends_on: {{ ref('kept') }}
                select 1 / 0 as broken""",
        }

    def test_what_a_models_hook_does_is_undone_with_the_model(self, project: Any) -> None:
        run_dbt(["build"], expect_pass=False)
        kept = deployed(project, "kept")
        assert kept is not None
        assert kept[2] == "1h"

"""dbt's own suite for materialized views, which needs to know how PostgreSQL has them."""

from typing import Any

import pytest
from dbt.tests.adapter.materialized_view.basic import MaterializedViewBasic
from dbt.tests.adapter.materialized_view.changes import (
    MaterializedViewChanges,
    MaterializedViewChangesApplyMixin,
    MaterializedViewChangesContinueMixin,
    MaterializedViewChangesFailMixin,
)
from dbt.tests.adapter.materialized_view.files import MY_TABLE, MY_VIEW
from dbt.tests.util import get_model_file, set_model_file

INDEX = "indexes=[{'columns': ['id']}]"

MY_MATERIALIZED_VIEW = f"{{{{ config(materialized='materialized_view', {INDEX}) }}}}\nselect * from {{{{ ref('my_seed') }}}}"

NO_REPLACEMENTS = "dbt-postgres has no setting whose change rebuilds a materialized view"


class InPostgres:
    @pytest.fixture(scope="class", autouse=True)
    def models(self) -> dict[str, str]:
        return {
            "my_table.sql": MY_TABLE,
            "my_view.sql": MY_VIEW,
            "my_materialized_view.sql": MY_MATERIALIZED_VIEW,
        }

    @staticmethod
    def query_relation_type(project: Any, relation: Any) -> str | None:
        row = project.run_sql(f"select relkind::text from pg_class where oid = to_regclass('{relation}')", fetch="one")
        return None if row is None else {"r": "table", "v": "view", "m": "materialized_view"}[row[0]]


class TestMaterializedViewBasic(InPostgres, MaterializedViewBasic):
    @staticmethod
    def insert_record(project: Any, table: Any, record: tuple[int, int]) -> None:
        project.run_sql(f"insert into {table} (id, value) values {record}")

    @staticmethod
    def refresh_materialized_view(project: Any, materialized_view: Any) -> None:
        project.run_sql(f"refresh materialized view {materialized_view}")

    @staticmethod
    def query_row_count(project: Any, relation: Any) -> int:
        count: int = project.run_sql(f"select count(*) from {relation}", fetch="one")[0]
        return count


class Changes(InPostgres, MaterializedViewChanges):
    @staticmethod
    def indexed(project: Any, relation: Any) -> list[Any]:
        rows: list[Any] = project.run_sql(
            "select a.attname from pg_index as i join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any(i.indkey) "
            f"where i.indrelid = '{relation}'::regclass",
            fetch="all",
        )
        return rows

    @classmethod
    def check_start_state(cls, project: Any, materialized_view: Any) -> None:
        assert cls.indexed(project, materialized_view) == [("id",)]

    @staticmethod
    def change_config_via_alter(project: Any, materialized_view: Any) -> None:
        text = get_model_file(project, materialized_view)
        set_model_file(project, materialized_view, text.replace(INDEX, INDEX.replace("id", "value")))

    @classmethod
    def check_state_alter_change_is_applied(cls, project: Any, materialized_view: Any) -> None:
        assert cls.indexed(project, materialized_view) == [("value",)]

    @staticmethod
    def change_config_via_replace(project: Any, materialized_view: Any) -> None:
        """Nothing, as NO_REPLACEMENTS says: the tests of a full refresh then see what the change by ALTER does."""


class TestMaterializedViewChangesApply(Changes, MaterializedViewChangesApplyMixin):
    @pytest.mark.skip(NO_REPLACEMENTS)
    def test_change_is_applied_via_replace(self, project: Any, my_materialized_view: Any) -> None: ...


class TestMaterializedViewChangesContinue(Changes, MaterializedViewChangesContinueMixin):
    @pytest.mark.skip(NO_REPLACEMENTS)
    def test_change_is_not_applied_via_replace(self, project: Any, my_materialized_view: Any) -> None: ...


class TestMaterializedViewChangesFail(Changes, MaterializedViewChangesFailMixin):
    @pytest.mark.skip(NO_REPLACEMENTS)
    def test_change_is_not_applied_via_replace(self, project: Any, my_materialized_view: Any) -> None: ...

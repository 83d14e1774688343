"""What `dbt docs generate` says of stream tables."""

import json
from pathlib import Path
from typing import Any

import pytest
from dbt.tests.util import run_dbt

from .shop import ORDERS_CSV, model, stream_table


class TestCatalog:
    @pytest.fixture(scope="class")
    def seeds(self) -> dict[str, str]:
        return {"orders.csv": ORDERS_CSV}

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {"totals.sql": stream_table(), "plain.sql": model("table")}

    def test_a_stream_table_is_called_so_and_has_statistics(self, project: Any) -> None:
        run_dbt(["build"])
        project.run_sql("analyze {schema}.totals")
        run_dbt(["docs", "generate"])
        nodes = json.loads(Path(str(project.project_root), "target", "catalog.json").read_text())["nodes"]
        totals = nodes["model.test.totals"]
        assert totals["metadata"]["type"] == "STREAM TABLE"
        assert list(totals["columns"]) == ["customer", "total"]
        statistics = {name: stat["value"] for name, stat in totals["stats"].items()}
        assert (statistics["schedule"], statistics["refresh_mode"], statistics["status"]) == ("1h", "DIFFERENTIAL", "ACTIVE")
        assert statistics["last_refresh"]
        assert float(statistics["rows"]) == 2
        assert nodes["model.test.plain"]["metadata"]["type"] == "BASE TABLE"
        assert list(nodes["model.test.plain"]["columns"]) == ["customer", "total"]

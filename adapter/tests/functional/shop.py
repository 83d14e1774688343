"""A small project: orders, and stream tables over them."""

from pathlib import Path
from typing import Any

from ..conftest import server

ORDERS_CSV = "id,customer,amount\n1,anna,10\n2,ben,20\n3,anna,30\n"

TOTALS = "select customer, sum(amount) as total from {{ ref('orders') }} group by customer"


def stream_table(query: str = TOTALS, config: str = "", **settings: Any) -> str:
    """A stream table model with these settings of pg_trickle, and what else its `config()` says."""
    settings = {"schedule": "1h", **settings}
    return f"{{{{ config(materialized='stream_table', meta={{'pgtrickle': {settings}}}{config}) }}}}\n{query}\n"


def model(materialized: str, query: str = TOTALS) -> str:
    return f"{{{{ config(materialized='{materialized}') }}}}\n{query}\n"


def write(project: Any, name: str, text: str) -> None:
    """Writes a model, or another file of the project's folder `models`."""
    Path(str(project.project_root), "models", name).write_text(text)


def deployed(project: Any, name: str) -> tuple[Any, ...] | None:
    """What the server has of a stream table: its identity, schedule, mode and when it was refreshed."""
    with server(project.database).cursor() as cursor:
        cursor.execute(
            "select pgt_id, pgt_relid, schedule, refresh_mode, last_refresh_at from pgtrickle.pgt_stream_tables "
            "where pgt_schema = %s and pgt_name = %s",
            (project.test_schema, name),
        )
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def messages(results: Any) -> dict[str, str]:
    """What dbt says behind each model's name."""
    return {result.node.name: result.message for result in results}

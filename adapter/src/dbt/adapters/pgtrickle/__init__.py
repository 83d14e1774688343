from dbt.adapters.base import AdapterPlugin

from dbt.adapters.pgtrickle.column import PgTrickleColumn
from dbt.adapters.pgtrickle.connections import PgTrickleConnectionManager, PgTrickleCredentials
from dbt.adapters.pgtrickle.impl import PgTrickleAdapter
from dbt.adapters.pgtrickle.package import ADAPTER_PROJECT
from dbt.adapters.pgtrickle.relation import PgTrickleRelation
from dbt.include import pgtrickle

__all__ = [
    "PgTrickleAdapter",
    "PgTrickleColumn",
    "PgTrickleConnectionManager",
    "PgTrickleCredentials",
    "PgTrickleRelation",
    "Plugin",
]

Plugin = AdapterPlugin(
    adapter=PgTrickleAdapter,  # type: ignore[arg-type]
    credentials=PgTrickleCredentials,
    include_path=pgtrickle.PACKAGE_PATH,
    dependencies=["postgres"],
    project_name=ADAPTER_PROJECT,
)

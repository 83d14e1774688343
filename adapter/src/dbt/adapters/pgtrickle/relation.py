from dataclasses import dataclass
from typing import Any

from dbt.adapters.contracts.relation import RelationType
from dbt.adapters.postgres import PostgresRelation
from dbt.adapters.utils import classproperty
from dbt_common.dataclass_schema import StrEnum

# dbt's types differ between its versions, and an enumeration cannot be extended.
PgTrickleRelationType: Any = StrEnum(  # type: ignore[call-overload]
    "PgTrickleRelationType",
    {"StreamTable": "stream_table", **{member.name: member.value for member in RelationType}},
)


@dataclass(frozen=True, eq=False, repr=False)
class PgTrickleRelation(PostgresRelation):
    """A relation that can be a stream table. pg_trickle has no rename, so those are not among the renameable ones."""

    type: PgTrickleRelationType | None = None

    @property
    def is_stream_table(self) -> bool:
        return bool(self.type == PgTrickleRelationType.StreamTable)

    @classproperty
    def StreamTable(cls) -> str:
        return str(PgTrickleRelationType.StreamTable)

    @classproperty
    def get_relation_type(cls) -> Any:
        return PgTrickleRelationType

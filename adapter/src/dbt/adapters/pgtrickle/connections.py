from dataclasses import dataclass

from dbt.adapters.postgres.connections import PostgresConnectionManager, PostgresCredentials


@dataclass
class PgTrickleCredentials(PostgresCredentials):
    """A profile of `type: pgtrickle`: the fields of dbt-postgres."""

    @property
    def type(self) -> str:
        return "pgtrickle"


class PgTrickleConnectionManager(PostgresConnectionManager):
    TYPE = "pgtrickle"

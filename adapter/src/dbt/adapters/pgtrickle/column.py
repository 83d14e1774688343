from dbt.adapters.postgres import PostgresColumn

INTERNAL_PREFIX = "__pgt_"


class PgTrickleColumn(PostgresColumn):
    @property
    def is_internal(self) -> bool:
        """Whether the name is one of those that pg_trickle gives to the columns that it adds."""
        return str(self.name).startswith(INTERNAL_PREFIX)

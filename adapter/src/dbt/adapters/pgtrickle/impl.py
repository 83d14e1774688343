from collections.abc import Iterable
from multiprocessing.context import SpawnContext
from typing import Any

from dbt.adapters.base import BaseRelation, available
from dbt.adapters.base.impl import FreshnessResponse
from dbt.adapters.capability import Capability, CapabilityDict, CapabilitySupport, Support
from dbt.adapters.contracts.connection import AdapterResponse
from dbt.adapters.contracts.macros import MacroResolverProtocol
from dbt.adapters.events.logging import AdapterLogger
from dbt.adapters.events.types import AdapterEventWarning
from dbt.adapters.postgres import PostgresAdapter
from dbt_common.events.functions import warn_or_error
from dbt_common.exceptions import DbtRuntimeError

from dbt.adapters.pgtrickle.column import PgTrickleColumn
from dbt.adapters.pgtrickle.connections import PgTrickleConnectionManager
from dbt.adapters.pgtrickle.package import ADAPTER_PROJECT, PACKAGE, add_package
from dbt.adapters.pgtrickle.relation import PgTrickleRelation, PgTrickleRelationType

logger = AdapterLogger("pg_trickle")

#: The end of the name to which dbt renames what it is about to replace.
BACKUP_SUFFIX = "__dbt_backup"

#: The version of pg_trickle, and the role when it may not read the list of stream tables.
ENGINE_SQL = """
select e.extversion, case when not coalesce(
    pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select'), false
  ) then current_user end
from pg_catalog.pg_extension as e
left join pg_catalog.pg_namespace as n on n.nspname = 'pgtrickle'
left join pg_catalog.pg_class as c on c.relnamespace = n.oid and c.relname = 'pgt_stream_tables'
where e.extname = 'pg_trickle'
"""


class PgTrickleAdapter(PostgresAdapter):
    Relation = PgTrickleRelation
    Column = PgTrickleColumn
    ConnectionManager = PgTrickleConnectionManager

    _capabilities = CapabilityDict(
        {
            **PostgresAdapter._capabilities,
            Capability.TableLastModifiedMetadata: CapabilitySupport(support=Support.Full),
            Capability.TableLastModifiedMetadataBatch: CapabilitySupport(support=Support.Full),
        }
    )

    def __init__(self, config: Any, mp_context: SpawnContext) -> None:
        super().__init__(config, mp_context)
        add_package(config)
        self._version: str | None = None
        self._obstacle: str | None = None
        self._listed: set[tuple[str, str]] | None = None

    # The extension

    @available.parse_none
    def pgtrickle_version(self) -> str | None:
        """The version of pg_trickle in the target's database; None when it is not installed."""
        self.pgtrickle_obstacle()
        return self._version

    @available.parse_none
    def pgtrickle_obstacle(self) -> str | None:
        """Why this role cannot use stream tables in the target's database; None when it can.

        A server that has no obstacle is asked once. One that has is asked again, because a hook can remove it.
        """
        if self._version is None or self._obstacle is not None:
            database = self.config.credentials.database
            _, table = self.execute(ENGINE_SQL, fetch=True)
            self._version, role = table.rows[0] if table.rows else (None, None)
            self._obstacle = None
            if self._version is None:
                self._obstacle = (
                    f"pg_trickle is not installed in the database `{database}`: run `create extension pg_trickle` in it"
                )
            elif role is not None:
                self._obstacle = (
                    f"the role `{role}` may not read pg_trickle's tables in the database `{database}`: run "
                    f"`grant usage on schema pgtrickle to {self.quote(role)}` and "
                    f"`grant select on all tables in schema pgtrickle to {self.quote(role)}` in it"
                )
        return self._obstacle

    @available.parse_none
    def pgtrickle_require(self) -> None:
        """Fails when this role cannot use stream tables in the target's database."""
        obstacle = self.pgtrickle_obstacle()
        if obstacle is not None:
            raise DbtRuntimeError(obstacle)

    def debug_query(self) -> None:
        super().debug_query()
        self.pgtrickle_require()
        logger.info(f"pg_trickle version: {self.pgtrickle_version()}")

    def _warn_of_engine(self, relation_configs: Iterable[Any]) -> None:
        """One warning about all stream tables that the server cannot hold."""
        models = [node for node in relation_configs if is_stream_table_model(node)]
        if not models:
            return
        obstacle = self.pgtrickle_obstacle()
        if obstacle is not None:
            warn(f"{obstacle}; until then none of the project's {len(models)} stream tables can be deployed")
            return
        # dbt 1.8 fills Jinja's `graph` only later.
        nodes = [node.to_dict(omit_none=False) for node in models]
        lacking = self.execute_macro("pgtrickle_lacking_of_models", project=ADAPTER_PROJECT, kwargs={"nodes": nodes})
        if lacking:
            warn(f"pg_trickle {self._version} is too old for settings of this project:\n  - " + "\n  - ".join(lacking))

    # Relations

    def _relations_cache_for_schemas(self, relation_configs: Any, cache_schemas: Any = None) -> None:
        """Stream tables are asked for once, and not for each schema that is listed."""
        self._listed = self._stream_tables()
        try:
            super()._relations_cache_for_schemas(relation_configs, cache_schemas)
        finally:
            self._listed = None
        self._warn_of_engine(relation_configs)

    def _stream_tables(self) -> set[tuple[str, str]]:
        """Schema and name of the database's stream tables, as far as this role can know: a project may have none."""
        if self.pgtrickle_obstacle() is not None:
            return set()
        _, table = self.execute("select pgt_schema, pgt_name from pgtrickle.pgt_stream_tables", fetch=True)
        return {(schema, name) for schema, name in table.rows}

    def list_relations_without_caching(self, schema_relation: BaseRelation) -> list[BaseRelation]:
        names = self._stream_tables() if self._listed is None else self._listed
        return [
            relation.replace(type=PgTrickleRelationType.StreamTable)
            if (relation.schema, relation.identifier) in names
            else relation
            for relation in super().list_relations_without_caching(schema_relation)
        ]

    def drop_relation(self, relation: BaseRelation) -> None:
        super().drop_relation(self._as_listed(relation))

    def rename_relation(self, from_relation: BaseRelation, to_relation: BaseRelation) -> None:
        """Renames a relation; drops a stream table that dbt renames only to drop it afterwards.

        pg_trickle has no rename, and cannot find a storage table that was renamed. Both happen in one transaction, so
        the table is there until its successor is.
        """
        from_relation = self._as_listed(from_relation)
        if not is_stream_table(from_relation):
            super().rename_relation(from_relation, to_relation)
        elif str(to_relation.identifier).endswith(BACKUP_SUFFIX):
            self.drop_relation(from_relation)
        else:
            raise DbtRuntimeError(f"{from_relation} is a stream table, which pg_trickle cannot rename")

    def _as_listed(self, relation: BaseRelation) -> BaseRelation:
        """The relation with the type that it has in the database: dbt's macros take it for what it will be."""
        if is_stream_table(relation) or relation.schema is None:
            return relation
        database = relation.database or self.config.credentials.database
        name = str(relation.identifier)
        # Not `get_relation`: it fails for a name that differs from this one in case, for which dbt did not ask.
        name = name if relation.quote_policy.identifier else name.lower()
        listed = self.list_relations(database, relation.schema)
        return next((one for one in listed if is_stream_table(one) and one.identifier == name), relation)

    @available.parse_list
    def pgtrickle_visible_columns(self, relation: BaseRelation, columns: list[PgTrickleColumn]) -> list[PgTrickleColumn]:
        """The columns of a relation without those that pg_trickle adds to a stream table."""
        visible = [column for column in columns if not column.is_internal]
        return visible if len(visible) < len(columns) and is_stream_table(self._as_listed(relation)) else columns

    # Source freshness

    def calculate_freshness_from_metadata(
        self, source: BaseRelation, macro_resolver: MacroResolverProtocol | None = None
    ) -> tuple[AdapterResponse | None, FreshnessResponse]:
        """The freshness of a stream table: when it was refreshed."""
        responses, freshness = self.calculate_freshness_from_metadata_batch([source], macro_resolver)
        if source in freshness:
            return (responses[0] if responses else None), freshness[source]
        self.pgtrickle_require()
        if (source.schema, source.identifier) in self._stream_tables():
            detail = self.execute_macro("pgtrickle_health_detail", project=ADAPTER_PROJECT, kwargs={"relation": source})
            raise DbtRuntimeError(f"the stream table {source} has no age: {detail}")
        if self.get_relation(str(source.database), str(source.schema), str(source.identifier)) is None:
            raise DbtRuntimeError(f"the table {source} does not exist")
        raise DbtRuntimeError(f"{source} is not a stream table: its freshness needs a loaded_at_field")

    # The package's macros, for Jinja

    @available.parse_none
    def pgtrickle_create_stream_table(
        self, name: Any, query: str, schedule: str | None, refresh_mode: str, initialize: bool = True, **settings: Any
    ) -> None:
        """Creates a stream table that is no model."""
        settings |= {"schedule": schedule, "refresh_mode": refresh_mode, "initialize": initialize}
        self._call_package("pgtrickle_create_stream_table", name=name, query=query, **settings)

    @available.parse_none
    def pgtrickle_alter_if_changed(
        self, name: Any, schedule: str | None = None, refresh_mode: str | None = None, **settings: Any
    ) -> None:
        """Alters what is given and differs; what is None stays as it is."""
        settings |= {"schedule": schedule, "refresh_mode": refresh_mode}
        self._call_package("pgtrickle_alter_stream_table", name=name, **settings)

    @available.parse_none
    def pgtrickle_drop_stream_table(self, name: Any, cascade: bool = False) -> None:
        """Drops a stream table, with `cascade` also the stream tables that read from it."""
        self._call_package("pgtrickle_drop_stream_table", name=name, cascade=cascade)

    @available.parse_none
    def pgtrickle_refresh_stream_table(self, name: Any) -> None:
        """Refreshes a stream table now."""
        self._call_package("pgtrickle_refresh_stream_table", name=name)

    @available.parse_none
    def pgtrickle_get_stream_table_info(self, name: Any) -> dict[str, Any] | None:
        """The stream table as the server knows it, or None."""
        found: dict[str, Any] | None = self._call_package("pgtrickle_get_stream_table_info", name=name)
        return found

    def _call_package(self, macro: str, **arguments: Any) -> Any:
        """Calls a macro that commits what it does, unless the hook of a node calls it, which has a transaction."""
        connection = self.connections.get_thread_connection()
        resource_type, dot, _ = str(connection.name).partition(".")
        within = {"model": {"resource_type": resource_type}} if dot else {}
        return self.execute_macro(macro, project=PACKAGE, context_override=within, kwargs=arguments)


def is_stream_table(relation: BaseRelation) -> bool:
    return isinstance(relation, PgTrickleRelation) and relation.is_stream_table


def is_stream_table_model(node: Any) -> bool:
    return getattr(getattr(node, "config", None), "materialized", None) == "stream_table"


def warn(message: str) -> None:
    warn_or_error(AdapterEventWarning(name="pg_trickle", base_msg=message))

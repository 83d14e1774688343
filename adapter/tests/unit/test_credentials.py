from dataclasses import fields

import pytest
from dbt.adapters.capability import Capability
from dbt.adapters.factory import FACTORY
from dbt.adapters.postgres import PostgresCredentials

from dbt.adapters.pgtrickle import PgTrickleAdapter, PgTrickleCredentials, Plugin
from dbt.adapters.pgtrickle.__version__ import version

PROFILE = {"host": "db", "user": "u", "port": 5433, "pass": "p", "dbname": "shop", "schema": "s"}


def credentials() -> PgTrickleCredentials:
    return PgTrickleCredentials.from_dict(PgTrickleCredentials.translate_aliases(dict(PROFILE)))


def test_the_fields_are_those_of_dbt_postgres() -> None:
    assert [field.name for field in fields(PgTrickleCredentials)] == [field.name for field in fields(PostgresCredentials)]
    assert (credentials().type, credentials().unique_field, credentials().database) == ("pgtrickle", "db", "shop")


def test_no_password_is_shown() -> None:
    shown = dict(credentials().connection_info())
    assert shown["user"] == "u"
    assert "password" not in shown


def test_a_field_that_is_missing_is_refused() -> None:
    with pytest.raises(Exception, match="host"):
        PgTrickleCredentials.validate({"user": "u", "port": 1, "password": "p", "database": "d", "schema": "s"})


def test_dbt_loads_the_adapter_with_what_it_extends() -> None:
    assert FACTORY.load_plugin("pgtrickle") is PgTrickleCredentials
    assert FACTORY.get_adapter_type_names("pgtrickle") == ["pgtrickle", "postgres"]
    assert FACTORY.get_adapter_package_names("pgtrickle") == ["dbt_pgtrickle_adapter", "dbt_postgres", "dbt"]
    assert Plugin.adapter is PgTrickleAdapter
    assert version


def test_it_can_do_what_dbt_postgres_can_and_knows_when_stream_tables_were_refreshed() -> None:
    capabilities = PgTrickleAdapter.capabilities()
    assert capabilities[Capability.SchemaMetadataByRelations]
    assert capabilities[Capability.TableLastModifiedMetadata]
    assert capabilities[Capability.TableLastModifiedMetadataBatch]

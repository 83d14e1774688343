import pytest
from dbt.adapters.contracts.relation import RelationType

from dbt.adapters.pgtrickle import PgTrickleColumn, PgTrickleRelation
from dbt.adapters.pgtrickle.impl import is_stream_table


def relation(kind: str | None) -> PgTrickleRelation:
    return PgTrickleRelation.create(database="shop", schema="analytics", identifier="totals", type=kind)  # type: ignore[arg-type]


def test_a_stream_table_is_no_other_kind() -> None:
    stream = relation("stream_table")
    assert stream.is_stream_table
    assert not any([stream.is_table, stream.is_view, stream.is_materialized_view])
    assert stream.type == PgTrickleRelation.StreamTable


def test_it_renders_as_a_table_does() -> None:
    assert relation("stream_table").render() == relation("table").render() == '"shop"."analytics"."totals"'


@pytest.mark.parametrize("kind", [member.value for member in RelationType])
def test_dbts_own_kinds_stay_what_they_are(kind: str) -> None:
    known = relation(kind)
    assert known.type == RelationType(kind) == PgTrickleRelation.get_relation_type(kind)
    assert not is_stream_table(known)


def test_only_what_postgresql_can_rename_is_renamed() -> None:
    assert relation("table").can_be_renamed
    assert not relation("stream_table").can_be_renamed
    assert not relation("stream_table").can_be_replaced


def test_it_survives_dbts_serialization() -> None:
    stream = relation("stream_table")
    again = PgTrickleRelation.from_dict(stream.to_dict())
    # dbt's own equality depends on the order of a set.
    assert (again.type, again.path) == (stream.type, stream.path)
    assert stream.incorporate(path={"identifier": "other"}).is_stream_table
    assert stream.incorporate(type="table").is_table


def test_the_columns_of_pg_trickle_are_known_by_their_names() -> None:
    assert PgTrickleColumn("__pgt_row_id", "bigint").is_internal
    assert PgTrickleColumn("__pgt_count", "bigint").is_internal
    assert not PgTrickleColumn("pgt_row_id", "bigint").is_internal
    assert PgTrickleColumn("name", "character varying").data_type == "character varying"

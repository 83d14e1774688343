"""A part of dbt's own suite that expects SQL with the name of the database, and that of this file in the schema."""

from collections.abc import Iterator

import pytest

from ..conftest import new_database
from .inherited import inherited

MODULE = "ephemeral.test_ephemeral"


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with new_database("dbt") as name:
        yield name


globals().update(inherited([MODULE], __name__))

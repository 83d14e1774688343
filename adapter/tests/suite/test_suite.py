"""dbt's own suite for adapters, with the classes that dbt-postgres inherits and the expectations that they come with."""

from .bases import BASES
from .inherited import inherited
from .test_ephemeral import MODULE

globals().update(inherited((module for module in BASES if module != MODULE), __name__))

"""The dbt package `dbt_pgtrickle` as a part of every project that uses the adapter.

Macros of an adapter are known to dbt as `dbt.…` only, while those of the package call each other, and are called by
projects, as `dbt_pgtrickle.…`. So the package stays what it is, a package, and dbt gets it from the adapter.
"""

from collections.abc import Mapping
from typing import Any

from dbt.adapters.events.types import AdapterEventWarning
from dbt_common.events.functions import warn_or_error

from dbt.include.pgtrickle import DBT_PACKAGE_PATH

#: The adapter's own macros: what dbt looks up by the adapter's type.
ADAPTER_PROJECT = "dbt_pgtrickle_adapter"

#: The package.
PACKAGE = "dbt_pgtrickle"


def add_package(config: Any) -> None:
    """Makes the package one of the projects that dbt loads for `config`.

    A project can have the package installed as well, for targets of the type `postgres`. dbt refuses two packages of a
    name, so the installed one is taken, with a warning when it is of another version.
    """
    load = getattr(config, "load_dependencies", None)
    if load is None:
        # `dbt debug` makes an adapter from a profile, without a project.
        return

    def load_dependencies(base_only: bool = False) -> Mapping[str, Any]:
        is_loaded = config.dependencies is not None
        projects: dict[str, Any] = load(base_only)
        if not is_loaded:
            bundled = config.new_project(DBT_PACKAGE_PATH)
            installed = projects.setdefault(PACKAGE, bundled)
            if installed.version != bundled.version:
                warn_of_version(installed.version, bundled.version)
        return projects

    config.load_dependencies = load_dependencies


def warn_of_version(installed: str | None, bundled: str) -> None:
    warn_or_error(
        AdapterEventWarning(
            name="pgtrickle",
            base_msg=f"the installed package {PACKAGE} {installed} is used, and not {bundled}, which the adapter has: "
            f"take {PACKAGE} out of packages.yml, or install {bundled}",
        )
    )

"""What the wheel has of the dbt package."""

import re
from pathlib import Path

from dbt.include.pgtrickle import DBT_PACKAGE_PATH, PACKAGE_PATH

OWN = Path(PACKAGE_PATH, "macros")
PACKAGE = Path(DBT_PACKAGE_PATH, "macros")
MACRO = re.compile(r"{%-? *(?:macro|test|materialization) +(\w+)")


def macros(folder: Path) -> dict[str, Path]:
    return {name: path for path in folder.rglob("*.sql") for name in MACRO.findall(path.read_text())}


def test_the_package_is_in_it() -> None:
    assert "name: dbt_pgtrickle\n" in Path(DBT_PACKAGE_PATH, "dbt_project.yml").read_text()
    assert {"stream_table", "pgtrickle_refresh", "loaded_at"} <= macros(PACKAGE).keys()


def test_what_the_adapter_overrides_for_dbt_is_all_that_the_package_overrides() -> None:
    def overridden(prefix: str, folder: Path) -> set[str]:
        return {name.removeprefix(prefix) for name in macros(folder) if name.startswith(prefix)}

    assert overridden("postgres__", PACKAGE) <= overridden("pgtrickle__", OWN)


def test_every_test_of_the_package_has_its_name_without_the_prefix() -> None:
    def tests(folder: Path) -> set[str]:
        return {name for path in folder.rglob("*.sql") for name in re.findall(r"{%-? *test +(\w+)", path.read_text())}

    assert tests(OWN) == tests(PACKAGE)


def test_no_sql_is_written_twice() -> None:
    own = {path: path.read_text() for path in OWN.rglob("*.sql")}
    assert not [path for path, text in own.items() if "pgtrickle.pgt_" in text]

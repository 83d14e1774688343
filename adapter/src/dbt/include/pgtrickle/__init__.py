from pathlib import Path

PACKAGE_PATH = str(Path(__file__).parent)

#: The dbt package `dbt_pgtrickle`, whose macros the adapter uses. The build puts it here.
DBT_PACKAGE_PATH = str(Path(__file__).parent / "package")

"""Takes the dbt package, which lies next to this folder, into what is built."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "src/dbt/include/pgtrickle/package"


class TakePackage(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """An sdist has the package where the wheel's sources have it, so a wheel is built from either."""
        root = Path(self.root)
        if (root / PACKAGE).exists():
            return
        target = PACKAGE if self.target_name == "sdist" else PACKAGE.removeprefix("src/")
        repository = root.parent
        build_data["force_include"][str(repository / "macros")] = f"{target}/macros"
        build_data["force_include"][str(repository / "dbt_project.yml")] = f"{target}/dbt_project.yml"
        if self.target_name == "sdist":
            build_data["force_include"][str(repository / "LICENSE")] = "LICENSE"

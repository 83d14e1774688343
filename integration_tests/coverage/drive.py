"""Drives this project through all that the dbt package does, and sees every check fail once.

Run by scripts/dbt_matrix.sh, in a copy of the project, with PGHOST and its like naming an empty database. A scene goes on
where the one before it ended.
"""

import os
import sys
import time

from harness import VERSION, Failed, Project, Server
from scenes.dispatched import around, freshness
from scenes.edges import older_server, removed, switched, together
from scenes.models import changed, created, prepare, recreated, unchanged
from scenes.moved import deployed_by_a_role, hooked, moved, there_and_back
from scenes.operations import broken, operations
from scenes.targets import marked, targets
from scenes.views import views

SCENES = [prepare, created, unchanged, changed, recreated, operations, broken, around, freshness, older_server, removed, targets, marked, moved, hooked, there_and_back, deployed_by_a_role, views, together, switched]


def main():
    project, server = Project("."), Server()
    begin = time.monotonic()
    wanted = os.environ.get("COVERAGE_SCENES", "").split()
    for scene in [scene for scene in SCENES if not wanted or scene.__name__ in wanted]:
        try:
            scene(project, server)
        except Failed as failed:
            sys.exit(f"dbt {'.'.join(map(str, VERSION))}: {scene.__name__}: {failed}")
    print(f"dbt {'.'.join(map(str, VERSION))}: {len(SCENES) if not wanted else len(wanted)} scenes, {time.monotonic() - begin:.0f} s")


main()

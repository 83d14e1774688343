"""Drives this project through all that the dbt package does, and sees every check fail once.

Run by scripts/dbt_matrix.sh, in a copy of the project, with PGHOST and its like naming an empty database. A scene goes on
where the one before it ended.
"""

import os
import sys
import time

from harness import SKIPPED_ON_V2, Failed, Project, Server, can_run
from invocations import IS_V2, VERSION
from scenes.dispatched import around, documented, freshness
from scenes.edges import left_immediate, older_server, removed, switched, together
from scenes.left_open import left_open
from scenes.models import changed, created, prepare, recreated, unchanged
from scenes.moved import deployed_by_a_role, hooked, moved, there_and_back
from scenes.operations import broken, operations
from scenes.targets import marked, targets
from scenes.views import views

SCENES = [prepare, created, unchanged, changed, recreated, operations, broken, documented, around, freshness, older_server, removed, targets, marked, moved, hooked, there_and_back, deployed_by_a_role, views, left_open, together, left_immediate, switched]


def main():
    project, server = Project("."), Server()
    begin = time.monotonic()
    wanted = os.environ.get("COVERAGE_SCENES", "").split()
    scenes = [scene for scene in SCENES if can_run(scene) and (not wanted or scene.__name__ in wanted)]
    for scene in scenes:
        try:
            scene(project, server)
        except Failed as failed:
            sys.exit(f"dbt {'.'.join(map(str, VERSION))}: {scene.__name__}: {failed}")
    skipped = f", skipped: {', '.join(SKIPPED_ON_V2)}" if IS_V2 else ""
    print(f"dbt {'.'.join(map(str, VERSION))}: {len(scenes)} scenes, {time.monotonic() - begin:.0f} s{skipped}")


main()

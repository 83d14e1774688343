"""Drives this project through all that the dbt package does, and sees every check fail once.

Run by scripts/dbt_matrix.sh, in a copy of the project, with PGHOST and its like naming an empty database. A scene goes on
where the one before it ended.
"""

import sys
import time

from harness import VERSION, Failed, Project, Server
from scenes.dispatched import around, freshness
from scenes.edges import older_server, removed, together
from scenes.models import changed, created, prepare, recreated, unchanged
from scenes.operations import broken, operations

SCENES = [prepare, created, unchanged, changed, recreated, operations, broken, around, freshness, older_server, removed, together]


def main():
    project, server = Project("."), Server()
    begin = time.monotonic()
    for scene in SCENES:
        try:
            scene(project, server)
        except Failed as failed:
            sys.exit(f"dbt {'.'.join(map(str, VERSION))}: {scene.__name__}: {failed}")
    print(f"dbt {'.'.join(map(str, VERSION))}: all {len(SCENES)} scenes, {time.monotonic() - begin:.0f} s")


main()

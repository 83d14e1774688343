"""`plan` of a small project, and how it sees that nothing changed."""

import glob
import os
import time

from databases import small
from measure import in_project, line, many, once


def plan():
    small()
    in_project("deps", "build")
    line("plan, with a connection", many(30, "plan"), "ms", 40)
    line("plan, against a baseline", many(30, "plan", "--baseline", "target/manifest.json"), "ms", 15)
    key(1_000, 30)
    key(10_000, 200)


def key(files, aim):
    """What it takes to see that a project of so many files has not changed: plan with and without looking at them."""
    for n in range(files):
        folder = f"models/many/{n // 100:03}"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/many_{n:05}.sql", "w") as model:
            model.write("{{ config(enabled=false) }}\n-- " + "x" * 1500 + "\nselect 1 as a\n")
    once("plan")
    # Files that were just written are read once more.
    time.sleep(3)
    kept = max(glob.glob("target/pgtrickle-ci/manifests/*/manifest.json"), key=os.path.getmtime)
    once("plan")
    pairs = [(once("plan")[0], once("plan", "--manifest", kept)[0]) for _ in range(15)]
    line(f"the key of {files:,} unchanged files", [mine - without for mine, without in pairs], "ms", aim)

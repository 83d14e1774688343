"""What `verify` finds in the TPC-H queries, and how much of it psql alone shows again."""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

from databases import new_database, session, url
from measure import BINARY

SEEDS = 5
BUDGET = "60s"


def findings():
    """Findings of a minute of changes with each seed, and which of their scripts show rows in an empty database. The emulator has none."""
    root, project = os.getcwd(), pathlib.Path("target/bench/tpch")
    shutil.copytree("integration_tests_tpch", project)
    (project / "packages.yml").write_text(f"packages:\n  - local: {root}\n")
    shown, scripts = 0, []
    for seed in range(1, SEEDS + 1):
        found, again = of_seed(project, seed)
        names = ", ".join(sorted(script.stem.split(".")[-1] for script in found))
        print(f"seed {seed}: {len(found)} found, {again} shown again by psql: {names or 'none'}", flush=True)
        scripts.extend(script.read_text().count("\n") for script in found)
        shown += again
    if scripts:
        print(f"{shown} of {len(scripts)} scripts show it again, of {statistics.median(scripts):.0f} lines; aim 19 of 20")


def of_seed(project, seed):
    """The scripts of the findings, and how many show rows in an empty database."""
    name = f"findings_{seed}"
    new_database(name)
    session(name)("create extension pg_trickle")
    for fixture in sorted(project.glob("fixtures/*.sql")):
        session(name)(fixture.read_text())
    # So that rounds are committed, and a finding is reduced in a database of its own.
    session(name)(f"alter database {name} set pgtrickle_ci.ephemeral = on")
    folder, report = project / f"found_{seed}", project / "report.json"
    command = [BINARY, "run", "--quiet", "--project-dir", project, "--profiles-dir", project, "--database-url", url(name)]
    command += ["--budget", BUDGET, "--seed", str(seed), "--findings", folder, "--json", report]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode not in (0, 1):
        sys.exit("error: the gate did not end as a gate")
    outcomes = json.loads(report.read_text())["outcomes"]
    failed = {o["subject"] for o in outcomes if o["stage"] == "verify" and o["verdict"] == "failed"}
    found = [script for script in folder.glob("*.sql") if script.stem in failed]
    return found, sum(shows(script, f"again_{seed}_{number}") for number, script in enumerate(found))


def shows(script, name):
    new_database(name)
    told = subprocess.run(["psql", "--no-psqlrc", "--quiet", "--file", script, name], check=False, capture_output=True, text=True)
    return "too many" in told.stdout or "missing" in told.stdout

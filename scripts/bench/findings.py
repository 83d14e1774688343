"""What `verify` finds in the TPC-H queries, and how much of it psql alone shows again."""

import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys

from databases import drop_database, new_database, session, url
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
        found, first = of_seed(project, seed)
        for script, message in found:
            again = shows(script)
            print(f"  {script.stem.split('.')[-1]}: {message}{'' if again else '; NOT SHOWN AGAIN'}", flush=True)
            scripts.append(script.read_text().count("\n"))
            shown += again
        print(f"seed {seed}: {len(found)} found, {first}", flush=True)
    if scripts:
        print(f"{shown} of {len(scripts)} are shown again by psql, in scripts of {statistics.median(scripts):.0f} lines; aim 19 of 20")


def of_seed(project, seed):
    """The scripts of the findings, each with what the report says of it, and when it had the first."""
    name = f"findings_{seed}"
    new_database(name)
    session(name)("create extension pg_trickle")
    for fixture in sorted(project.glob("fixtures/*.sql")):
        session(name)(fixture.read_text())
    # So that rounds are committed, and a finding is reduced in a database of its own.
    session(name)(f"alter database {name} set pgtrickle_ci.ephemeral = on")
    # Not `run`: its checks fail for the hazards of this project, and it ends before it changes a row.
    os.environ["PGDATABASE"] = name
    for command in "deps", "run":
        subprocess.run(["dbt", "--quiet", command, "--project-dir", project, "--profiles-dir", project], check=True)
    folder, report = project / f"found_{seed}", project / "report.json"
    command = [BINARY, "verify", "--quiet", "--project-dir", project, "--profiles-dir", project, "--database-url", url(name)]
    command += ["--allow-writes", name, "--budget", BUDGET, "--seed", str(seed), "--findings", folder, "--json", report]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode not in (0, 1):
        sys.exit("error: the verification did not end as one")
    drop_database(name)
    outcomes = json.loads(report.read_text())["outcomes"]
    failed = {o["subject"]: o["message"] for o in outcomes if o["stage"] == "verify" and o["verdict"] == "failed"}
    lacking = [subject for subject in failed if not (folder / f"{subject}.sql").exists()]
    if lacking:
        sys.exit(f"error: no script: {', '.join(lacking)}")
    of_rounds = [line for o in outcomes if o["subject"] == "rounds" for line in o["details"]]
    first = next((line for line in of_rounds if line.startswith("first finding")), "no finding")
    return [(folder / f"{subject}.sql", message) for subject, message in sorted(failed.items())], first


def shows(script):
    """Whether psql alone prints rows that differ, or the error with which the first line says that the refresh fails."""
    new_database("again")
    command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--file", script, "again"]
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    drop_database("again")
    fails = re.search(r": its refresh fails: (.*)", script.read_text().partition("\n")[0])
    if fails:
        return f"ERROR:  {fails[1]}" in told.stderr
    return any(line.startswith(("too many|", "missing|")) for line in told.stdout.splitlines())

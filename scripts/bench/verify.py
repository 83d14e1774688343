"""`verify` of the TPC-H queries."""

import json
import os
import shutil

from measure import once


def verify():
    """How fast the twenty-two TPC-H queries are compared while their eight sources change."""
    root, project = os.getcwd(), "target/bench/tpch"
    shutil.copytree("integration_tests_tpch", project)
    with open(f"{project}/packages.yml", "w") as packages:
        packages.write(f"packages:\n  - local: {root}\n")
    os.chdir(project)
    print("the TPC-H project, 20 s of changes on the emulator")
    for seed in ("1", "2", "3"):
        once("run", "--engine", "emulator", "--budget", "20s", "--seed", seed, "--json", "report.json")
        with open("report.json") as report:
            outcomes = json.load(report)["outcomes"]
        rounds = next(o for o in outcomes if o["stage"] == "verify" and o["subject"] == "rounds")
        print("  " + "; ".join([rounds["message"], *rounds["details"]]), flush=True)
    os.chdir(root)

"""`run` beside dbt's own time, and beside the dbt commands that it replaces."""

import os
import statistics
import subprocess
import sys

from measure import BINARY, beside_dbt, in_project, line, of_dbt, once


def run():
    bench = os.path.dirname(os.path.abspath(__file__))
    in_project()
    steps, runs = [], []
    for _ in range(3):
        steps.append(one_by_one(bench))
        seconds, said = once("run", "--verbose", "--budget", "0s")
        runs.append((seconds, of_dbt(said)))
    beside_dbt("run, with a server of its own", runs)
    line("the dbt commands that it replaces", steps, "s")
    ratios = [whole / alone for (whole, _), alone in zip(runs, steps)]
    aim = 1 / 12 if os.environ.get("PGTRICKLE_CI_BENCH_DBT", "").startswith("2.") else 1 / 5
    print(
        f"{'  the run divided by them':<44}{statistics.median(ratios):>8.2f}     aim {aim:.2f}   (pairs, {min(ratios):.2f} to {max(ratios):.2f})"
    )


def one_by_one(bench):
    """Seconds of the commands of `steps` on a server of their own, whose start is not counted."""
    command = [BINARY, "ephemeral", "--", sys.executable, bench, "steps"]
    env = {**os.environ, "PATH": os.environ["STEPS_PATH"]}
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout)

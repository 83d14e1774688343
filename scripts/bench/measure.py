"""What the sections share: the measured program, and how figures are printed."""

import os
import re
import statistics
import subprocess
import sys
import time

BINARY = os.environ["BENCHED"]


def once(*arguments):
    """Seconds that the program took, and what it said of its progress."""
    begin = time.perf_counter()
    done = subprocess.run([BINARY, *arguments], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"{done.stderr}error: pgtrickle-ci {' '.join(arguments)} ended with {done.returncode}")
    return seconds, done.stderr


def line(what, seconds, unit, aim=None):
    factor = {"s": 1, "ms": 1000}[unit]
    shown = [f"{factor * value:.{2 if unit == 's' else 1}f}" for value in (statistics.median(seconds), min(seconds), max(seconds))]
    aim = f"aim {aim} {unit}" if aim else ""
    print(f"{what:<44}{shown[0]:>8} {unit:<3} {aim:<10} ({len(seconds)} runs, {shown[1]} to {shown[2]})", flush=True)


def many(runs, *arguments):
    once(*arguments)  # the first one warms the caches
    return [once(*arguments)[0] for _ in range(runs)]


def in_project(*dbt):
    os.chdir("target/bench/project")
    for command in dbt:
        subprocess.run(["dbt", "--quiet", command], check=True)


def of_dbt(said):
    """Seconds that dbt took inside a verbose run."""
    took = [float(took) for took in re.findall(r"^dbt \S+ took ([0-9.]+)s$", said, re.MULTILINE)]
    if not took:
        sys.exit("error: run --verbose does not say how long dbt took")
    return sum(took)


def beside_dbt(what, runs):
    line(what, [whole for whole, _ in runs], "s")
    line("  the dbt invocations inside it", [dbt for _, dbt in runs], "s")
    line("  on top of them", [whole - dbt for whole, dbt in runs], "s", 1)
    print(f"{'  the whole divided by dbt':<44}{statistics.median(whole / dbt for whole, dbt in runs):>8.2f}")

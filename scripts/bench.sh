#!/usr/bin/env bash
# How long the ephemeral server, `plan` and `run` take; medians, with their aims beside them. Nothing fails for being
# slow. PGTRICKLE_CI_BENCH_BINARY names a program to measure instead of a release build.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

out=target/bench
project=$out/project

if [[ "${1:-}" == --plan ]]; then # on the server that the environment names
  cd "$project"
  dbt --quiet deps
  dbt --quiet build
  exec python ../bench.py plan
fi

binary=${PGTRICKLE_CI_BENCH_BINARY:-}
if [[ -z "$binary" ]]; then
  echo "building the release"
  cargo build --release --locked --quiet
  binary=target/release/pgtrickle-ci
fi

rm -rf "$out"
mkdir -p "$out"
BENCHED=$(cd "$(dirname "$binary")" && pwd)/$(basename "$binary")
export BENCHED DBT_SEND_ANONYMOUS_USAGE_STATS=false

cp -R integration_tests "$project"
rm -rf "$project/target" "$project/logs" "$project/dbt_packages" "$project/package-lock.yml"
printf 'packages:\n  - local: %s\n' "$root" >"$project/packages.yml"

cat >"$out/bench.py" <<'PYTHON'
import os, re, statistics, subprocess, sys, time

BINARY = os.environ["BENCHED"]


def once(*arguments):
    """Seconds that the program took, and what it said of its progress."""
    begin = time.perf_counter()
    done = subprocess.run([BINARY, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
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


def answer():
    """Seconds until a command beside a new server runs: the server has answered and has the extension."""
    clock = [sys.executable, "-S", "-c", "import time; print(time.time())"]
    begin = time.time()
    done = subprocess.run([BINARY, "ephemeral", "--", *clock], stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout) - begin


def server():
    answer()
    line("an ephemeral server, until it answers", [answer() for _ in range(9)], "s", 1.2)


def plan():
    line("plan, with a connection", many(30, "plan"), "ms", 40)
    line("plan, against a baseline", many(30, "plan", "--baseline", "target/manifest.json"), "ms", 15)


def run():
    runs = []
    for _ in range(3):
        seconds, said = once("run", "--verbose")
        dbt = [float(took) for took in re.findall(r"^dbt \S+ took ([0-9.]+)s$", said, re.M)]
        if not dbt:
            sys.exit("error: run --verbose does not say how long dbt took")
        runs.append((seconds, sum(dbt)))
    line("run, with a server of its own", [whole for whole, _ in runs], "s")
    line("  the dbt invocations inside it", [dbt for _, dbt in runs], "s")
    line("  on top of them", [whole - dbt for whole, dbt in runs], "s", 2)
    print(f"{'  the whole divided by dbt':<44}{statistics.median(whole / dbt for whole, dbt in runs):>8.2f}")


{"server": server, "plan": plan, "run": run}[sys.argv[1]]()
PYTHON

python "$out/bench.py" server
"$BENCHED" ephemeral -- scripts/bench.sh --plan
(cd "$project" && rm -rf target && python ../bench.py run)

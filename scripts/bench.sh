#!/usr/bin/env bash
# How long the ephemeral server, `plan`, `run` and the emulator take; medians, with their aims beside them. Nothing fails for being
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

if [[ "${1:-}" == --emulator ]]; then # on the server that the environment names
  exec python "$out/bench.py" emulator
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


class Emulated:
    """Stream tables over a source, every other one over the one before it: half a fan, half a chain."""

    def __init__(self, tables, rows):
        import psycopg2

        def session(database):
            connection = psycopg2.connect(dbname=database)
            connection.autocommit = True
            return connection.cursor().execute

        database = f"emulated_{tables}_{rows}"
        session("postgres")(f"create database {database}")
        # The clock of the server stands still here; this session says when time passes.
        session("postgres")(f"alter database {database} set pg_trickle.enabled = off")
        self.sql, self.rows = session(database), rows
        self.sql("set client_min_messages = error; set pg_trickle.enabled = on; create extension pg_trickle")
        self.sql(f"create table source as select n as id, n % 1000 as v from generate_series(1, {rows}) n")
        self.sql("alter table source add primary key (id); analyze source")
        begin = time.perf_counter()
        for n in range(tables):
            chained = n % 2 == 0 and n > 0
            query = f"select id, v + 1 as v from t{n - 2}" if chained else f"select id, v from source where v = {n}"
            self.sql("select pgtrickle.create_stream_table(%s, %s, '1s', 'DIFFERENTIAL')", (f"public.t{n}", query))
        self.created = [time.perf_counter() - begin]

    def rounds(self, number):
        """Seconds of each tick after a small change, and of each tick after none."""
        changed, quiet = [], []
        for n in range(number):
            self.sql(f"update source set v = (v + 1) % 1000 where id % {self.rows // 10} = {n}")
            changed.append(self.tick())
            quiet.append(self.tick())
        return changed, quiet

    def tick(self):
        self.sql("update pgtrickle.pgt_stream_tables set last_refresh_at = last_refresh_at - interval '1 minute'")
        begin = time.perf_counter()
        self.sql("call pgtrickle._emulator_tick()")
        return time.perf_counter() - begin


def emulator():
    whole = Emulated(200, 100_000)
    changed, quiet = whole.rounds(20)
    line("the emulator, 200 tables over 100k rows: create", whole.created, "s")
    line("  a tick after ten rows changed", changed, "s")
    line("  a tick after none", quiet, "ms")
    for what, half in {"tables": Emulated(100, 100_000), "rows": Emulated(200, 50_000)}.items():
        steps = zip(("create", "changed", "quiet"), (whole.created, changed, quiet), (half.created, *half.rounds(5)))
        grown = [f"{step} {statistics.median(all) / statistics.median(some):.1f}" for step, all, some in steps]
        print(f"  twice the {what}: times {', '.join(grown)}", flush=True)
    thirds = [statistics.median(part) for part in (changed[:7], changed[-7:])]
    print(f"  the last third of the rounds: times {thirds[1] / thirds[0]:.1f}", flush=True)


{"server": server, "plan": plan, "run": run, "emulator": emulator}[sys.argv[1]]()
PYTHON

python "$out/bench.py" server
"$BENCHED" ephemeral -- scripts/bench.sh --plan
"$BENCHED" ephemeral --engine emulator -- scripts/bench.sh --emulator
(cd "$project" && rm -rf target && python ../bench.py run)

"""2,000 stream tables compared in shards."""

import json
import statistics
import subprocess
import sys
import time

from databases import folder_without_project, quiet_database, url
from measure import BINARY, line

TABLES = 2000
LONGEST_CHAIN = 9


def shards():
    """How evenly shards divide 2,000 stream tables in chains, and what two shards at the same time save."""
    deploy()
    folder = folder_without_project()
    for count in (1, 2, 4, 8):
        work = [compared(folder, of, count) for of in range(1, count + 1)]
        if sum(tables for tables, _ in work) != TABLES:
            sys.exit(f"error: {count} shards did not compare every table once")
        spent = [seconds for _, seconds in work]
        balance = max(spent) / statistics.mean(spent)
        print(f"{f'{count} shards: the longest divided by the mean':<56}{balance:>4.2f}  aim 1.25", flush=True)
    whole, halves = [], []
    for _ in range(5):
        whole.append(at_once(folder, 1))
        halves.append(at_once(folder, 2))
    line("check --equality, one shard", whole, "s")
    line("  two shards at the same time", halves, "s")
    print(f"{'  divided by one':<44}{statistics.median(half / one for half, one in zip(halves, whole)):>8.2f}")


def deploy():
    """Chains of one to nine tables, each of which reads a source and the table before it."""
    sql = quiet_database("shards")
    sql("create table source (id int primary key, v int); insert into source select n, n % 1000 from generate_series(1, 20000) n")
    chain, place, length = 0, 0, 1
    for _ in range(TABLES):
        query = f"select s.id, s.v from public.source as s where s.v % 500 = {chain % 500}"
        if place:
            query = f"select s.id, s.v from public.source as s join public.t{chain}_{place - 1} as t on t.id = s.id"
        sql("select pgtrickle.create_stream_table(%s, %s, '1h', 'DIFFERENTIAL')", (f"public.t{chain}_{place}", query))
        place += 1
        if place == length:
            chain, place, length = chain + 1, 0, 1 + (chain * 7 + 3) % LONGEST_CHAIN


def command(of, count, *more):
    return [
        BINARY,
        "check",
        "--equality",
        "--jobs",
        "1",
        "--budget",
        "10m",
        "--shard",
        f"{of}/{count}",
        "--database-url",
        url("shards"),
        *more,
    ]


def compared(folder, of, count):
    """How many tables a shard compared, and the seconds that the comparisons took."""
    subprocess.run(command(of, count, "--json", "report.json"), check=False, cwd=folder, capture_output=True)
    outcomes = json.loads((folder / "report.json").read_text())["outcomes"]
    equality = [outcome for outcome in outcomes if outcome["stage"] == "equality"]
    if any(outcome["verdict"] != "passed" for outcome in equality):
        sys.exit(f"error: the comparisons of shard {of}/{count} did not pass")
    return len(equality), sum(outcome["elapsed_ms"] for outcome in equality) / 1000


def at_once(folder, count):
    """Seconds until all shards have ended."""
    begin = time.perf_counter()
    quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [subprocess.Popen(command(of, count), **quiet) for of in range(1, count + 1)]
    for process in running:
        process.wait()
    return time.perf_counter() - begin

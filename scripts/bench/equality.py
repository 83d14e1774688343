"""`check --equality` of large tables, by one connection and by two."""

import json
import statistics
import subprocess
import sys
import time

from databases import folder_without_project, quiet_database, url
from measure import BINARY, line

ROWS, TABLES, RUNS = 300_000, 12, 5


def equality():
    sql = quiet_database("equality")
    sql("create table source (id int primary key, g int, v numeric)")
    sql(f"insert into source select n, n % 50000, n / 7.0 from generate_series(1, {ROWS}) n")
    for n in range(TABLES):
        rows = f"select id, g, v + {n} as v from public.source"
        groups = f"select g, count(*) as n, sum(v) + {n} as v from public.source group by g"
        query = groups if n % 2 else rows
        sql("select pgtrickle.create_stream_table(%s, %s, '1h', 'DIFFERENTIAL')", (f"public.t{n}", query))
    sql("vacuum analyze")
    folder = folder_without_project()

    def compare(jobs):
        command = [BINARY, "check", "--equality", "--budget", "10m", "--jobs", jobs, "--database-url", url("equality")]
        begin = time.perf_counter()
        subprocess.run([*command, "--json", "report.json"], check=False, cwd=folder, capture_output=True)
        seconds = time.perf_counter() - begin
        outcomes = json.loads((folder / "report.json").read_text())["outcomes"]
        if sum(outcome["stage"] == "equality" and outcome["verdict"] == "passed" for outcome in outcomes) != TABLES:
            sys.exit("error: check did not compare every table")
        return seconds

    compare("1")
    pairs = [(compare("1"), compare("2")) for _ in range(RUNS)]
    line(f"check --equality, {TABLES} large tables, --jobs 1", [one for one, _ in pairs], "s")
    line("  --jobs 2", [two for _, two in pairs], "s")
    print(f"{'  the first divided by the second':<44}{statistics.median(one / two for one, two in pairs):>8.2f}     aim 1.7", flush=True)

"""`check` over 1,000 stream tables."""

import json
import statistics
import subprocess
import sys
import time

from databases import folder_without_project, thousand, url
from measure import BINARY, in_project, line


def checks():
    """`check` over 1,000 stream tables, and what the dbt package's users ask today."""
    sql, queries = thousand()
    for name, query in queries.items():
        sql("select pgtrickle.create_stream_table(%s, %s, '1h', 'DIFFERENTIAL')", (f"analytics.{name}", query))

    def dbt(*arguments):
        begin = time.perf_counter()
        # The tables of the other models are missing there, which is an answer as well.
        subprocess.run(["dbt", "--quiet", *arguments], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - begin

    folder = folder_without_project()

    def check():
        command = [BINARY, "check", "--database-url", url("thousand"), "--json", "report.json"]
        begin = time.perf_counter()
        subprocess.run(command, check=False, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - begin
        outcomes = json.loads((folder / "report.json").read_text())["outcomes"]
        if sum(outcome["stage"] == "status" for outcome in outcomes) != 1000:
            sys.exit("error: check did not look at every table")
        return seconds

    check()
    mine = [check() for _ in range(9)]
    line("check, 1,000 stream tables", mine, "s", 1)
    in_project("deps", "parse")
    for operation in ("pgtrickle_check_freshness", "pgtrickle_check_cdc_health", "pgtrickle_status"):
        theirs = [dbt("run-operation", operation) for _ in range(3)]
        line(f"  dbt run-operation {operation}", theirs, "s")
        print(f"{'    divided by check':<44}{statistics.median(theirs) / statistics.median(mine):>8.1f}", flush=True)

"""The dbt commands that users of pg_trickle run one by one, on the server that PGHOST and its like name."""

import shlex
import subprocess
import time

COMMANDS = (
    "--version",
    "deps",
    "seed",
    "run",
    "test",
    "run",
    "run --full-refresh",
    "test",
    "run-operation refresh_all_stream_tables",
    "run-operation pgtrickle_refresh --args '{model_name: order_totals}'",
    "run-operation pgtrickle_check_freshness",
    "run-operation drop_all_stream_tables",
)


def steps():
    """Prints the seconds that all took."""
    begin = time.perf_counter()
    for command in COMMANDS:
        subprocess.run(["dbt", *shlex.split(command)], check=True, stdout=subprocess.DEVNULL)
    print(time.perf_counter() - begin)

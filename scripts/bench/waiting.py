"""`wait` beside a loop that polls."""

import json
import random
import subprocess
import sys
import time

from databases import quiet_database, url
from measure import BINARY, line


def delay(sql, waiting):
    """Seconds from the moment a stream table is there and filled to the end of what waits for it."""
    sql("select pgtrickle.drop_stream_table('public.late')")
    process = subprocess.Popen(waiting, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1.5 + random.random())
    sql("select pgtrickle.create_stream_table('public.late', 'select id from source', '1h', 'DIFFERENTIAL')")
    filled = time.perf_counter()
    if process.wait():
        sys.exit(f"error: {waiting[0]} ended with {process.returncode}")
    return time.perf_counter() - filled


def waiting():
    sql = quiet_database("waiting")
    sql("create table source (id int primary key); insert into source values (1)")
    sql("select pgtrickle.create_stream_table('public.late', 'select id from source', '1h', 'DIFFERENTIAL')")
    file = "target/bench/late.json"
    node = {
        "resource_type": "model",
        "name": "late",
        "alias": "late",
        "schema": "public",
        "database": "waiting",
        "unique_id": "model.shop.late",
        "fqn": ["shop", "late"],
        "package_name": "shop",
        "path": "late.sql",
        "original_file_path": "models/late.sql",
        "compiled": True,
        "compiled_code": "select id from source",
        "depends_on": {"nodes": []},
        "config": {"materialized": "stream_table", "enabled": True, "meta": {"pgtrickle": {"schedule": "1h"}}},
    }
    with open(file, "w") as out:
        json.dump(
            {
                "metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json", "project_name": "shop"},
                "nodes": {"model.shop.late": node},
                "sources": {},
                "disabled": {},
                "parent_map": {},
                "child_map": {},
            },
            out,
        )
    wait = [BINARY, "wait", "--manifest", file, "--database-url", url("waiting")]
    loop = [
        sys.executable,
        "-c",
        """import psycopg2, time
while True:
    connection = psycopg2.connect(dbname="waiting")
    cursor = connection.cursor()
    cursor.execute("select is_populated from pgtrickle.pgt_stream_tables where pgt_name = 'late'")
    if cursor.fetchone() == (True,):
        break
    connection.close()
    time.sleep(1)""",
    ]
    line("wait, from the filled table to its end", [delay(sql, wait) for _ in range(15)], "ms", 50)
    line("  a loop that looks once a second", [delay(sql, loop) for _ in range(15)], "ms")

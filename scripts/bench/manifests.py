"""`plan` with large manifests beside a walk over their JSON."""

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time

from measure import BINARY, line


def manifest(models, file):
    """A manifest as dbt 1.11 writes it: a tenth of the models are stream tables, in chains of ten."""
    columns = [f"a_column_with_number_{n}" for n in range(24)]
    nodes, parents = {}, {}
    for n in range(models):
        name, is_stream_table = f"model_{n:05}", n % 10 == 0
        above = f"model_{n - 10:05}" if n % 100 >= 10 else None
        read = f'"warehouse"."analytics"."{above}"' if above else f'"warehouse"."raw"."source_{n % 50}"'
        picks = ",\n".join(f'        coalesce(o.{c}, l.{c}) as {c} -- it\'s "the" value' for c in columns)
        sql = f'with source as (\n\n    select\n{picks}\n    from {read} as o\n    left join "warehouse"."raw"."source_{n % 50}" as l using (id)\n)\n\nselect {", ".join(columns)}\nfrom source\n'
        config = {
            "enabled": True,
            "alias": None,
            "schema": None,
            "tags": [],
            "group": None,
            "incremental_strategy": None,
            "persist_docs": {},
            "post-hook": [],
            "pre-hook": [],
            "quoting": {},
            "column_types": {},
            "on_schema_change": "ignore",
            "grants": {},
            "packages": [],
            "docs": {"show": True, "node_color": None},
            "contract": {"enforced": False, "alias_types": True},
            "access": "protected",
        }
        config["materialized"] = "stream_table" if is_stream_table else "view"
        config["meta"] = {"pgtrickle": {"schedule": "5m", "refresh_mode": "DIFFERENTIAL"}} if is_stream_table else {}
        id = f"model.shop.{name}"
        parents[id] = [f"model.shop.{above}" if above else f"source.shop.raw.source_{n % 50}"]
        nodes[id] = {
            "database": "warehouse",
            "schema": "analytics",
            "name": name,
            "resource_type": "model",
            "package_name": "shop",
            "path": f"{name}.sql",
            "original_file_path": f"models/{name}.sql",
            "unique_id": id,
            "fqn": ["shop", name],
            "alias": name,
            "checksum": {"name": "sha256", "checksum": f"{n:064x}"},
            "config": config,
            "unrendered_config": config,
            "tags": [],
            "description": "What it is. " * 10,
            "relation_name": f'"warehouse"."analytics"."{name}"',
            "columns": {
                c: {"name": c, "description": "What it holds.", "meta": {}, "data_type": None, "constraints": [], "tags": []}
                for c in columns[:4]
            },
            "depends_on": {"macros": [], "nodes": parents[id]},
            "compiled": True,
            "raw_code": sql.replace("analytics", "{{ schema }}"),
            "compiled_code": sql,
        }
        if n % 5 == 0:
            test = f"test.shop.not_null_{name}"
            nodes[test] = {
                "resource_type": "test",
                "name": f"not_null_{name}",
                "package_name": "shop",
                "original_file_path": "models/schema.yml",
                "config": {"severity": "ERROR"},
                "depends_on": {"nodes": [id]},
                "attached_node": id,
                "compiled_code": "select 1",
            }
    children = {}
    for id, read in parents.items():
        children.setdefault(read[0], []).append(id)
    metadata = {"dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json", "project_name": "shop"}
    macros = {f"macro.shop.m{n}": {"macro_sql": "{% macro m() %}select 1{% endmacro %}" * 10} for n in range(500)}
    with open(file, "w") as out:
        json.dump(
            {
                "metadata": metadata,
                "nodes": nodes,
                "sources": {},
                "macros": macros,
                "exposures": {},
                "parent_map": parents,
                "child_map": children,
            },
            out,
        )


def weighed(*command):
    """Seconds, the most memory in MB, and the seconds of work, which other processes do not disturb, of a process."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"error: {' '.join(command)} ended with {status}")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def manifests():
    walk = os.path.join(os.path.dirname(BINARY), "examples", "walk_json")
    for models in (1_000, 10_000):
        file = os.path.join("target/bench", f"{models}.json")
        # In a process of its own: what is started by a large one counts as large itself.
        writer = multiprocessing.Process(target=manifest, args=(models, file))
        writer.start()
        writer.join()
        size = os.path.getsize(file) / 1024 / 1024
        # A plan against a baseline reads two manifests; here they are one file.
        runs = [(weighed(walk, file, file), weighed(BINARY, "plan", "--manifest", file, "--baseline", file)) for _ in range(9)]
        print(f"{models:,} models, {size:.0f} MB, read twice")
        line("  walking the JSON", [walked[0] for walked, _ in runs], "ms")
        line("  plan", [planned[0] for _, planned in runs], "ms")
        for what, part in (("by the clock", 0), ("by the work of the processor", 2)):
            ratio = statistics.median(planned[part] / walked[part] for walked, planned in runs)
            print(f"{f'  plan divided by walking, {what}':<56}{ratio:>4.2f}  aim 1.5")
        print(f"{'  the most memory, without the file':<44}{max(planned[1] for _, planned in runs) - size:>8.0f} MB  aim 40 MB")

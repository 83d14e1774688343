"""The emulator with many tables and rows."""

import statistics
import time

from databases import quiet_database
from measure import line


class Emulated:
    """Stream tables over a source, every other one over the one before it: half a fan, half a chain."""

    def __init__(self, tables, rows):
        self.sql, self.rows = quiet_database(f"emulated_{tables}_{rows}"), rows
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

"""`apply` and `plan` with 1,000 stream tables."""

import subprocess
import time

from databases import thousand
from measure import in_project, line, many, once


def deployed():
    """`plan` against 1,000 deployed stream tables, and what dbt takes to read the same project."""
    thousand()
    in_project("deps", "compile")
    line("apply, 1,000 new stream tables", [once("apply", "--select", "path:models/thousand")[0]], "s")
    line("plan, 1,000 deployed stream tables", many(15, "plan"), "ms", 400)
    for what, *arguments in (("parse", "--no-partial-parse"), ("ls",)):
        begin = time.perf_counter()
        subprocess.run(["dbt", "--quiet", what, *arguments], stdout=subprocess.DEVNULL, check=True)
        line(f"  dbt {what}, the same project", [time.perf_counter() - begin], "s")

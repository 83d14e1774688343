"""Runs a command with libpq's variables for the server that PGTRICKLE_CI_TEST_DSN names."""

import os
import sys
from urllib.parse import unquote, urlsplit

url = urlsplit(os.environ["PGTRICKLE_CI_TEST_DSN"])
os.environ |= {
    "PGHOST": url.hostname or "",
    "PGPORT": str(url.port or 5432),
    "PGUSER": unquote(url.username or ""),
    "PGPASSWORD": unquote(url.password or ""),
    "PGDATABASE": unquote(url.path[1:]),
}
os.execvp(sys.argv[1], sys.argv[1:])

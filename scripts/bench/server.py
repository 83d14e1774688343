"""An ephemeral server."""

import subprocess
import sys
import time

from measure import BINARY, line


def answer():
    """Seconds until a command beside a new server runs: the server has answered and has the extension."""
    clock = [sys.executable, "-S", "-c", "import time; print(time.time())"]
    begin = time.time()
    done = subprocess.run([BINARY, "ephemeral", "--", *clock], stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout) - begin


def server():
    answer()
    line("an ephemeral server, until it answers", [answer() for _ in range(9)], "s", 1.2)

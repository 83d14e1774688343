"""Runs a Python script in the process of `warm_dbt.py`: sends it the arguments, variables, directory and descriptors,
passes signals on, and ends as the script does."""

import json
import os
import signal
import socket
import sys

script = socket.socket(socket.AF_UNIX)
script.connect(os.path.join(os.path.dirname(__file__), "socket"))
socket.send_fds(script, [b" "], [0, 1, 2])
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: script.sendall(b"%d\n" % number))
start = {"arguments": sys.argv[1:], "environment": dict(os.environ), "directory": os.getcwd()}
script.sendall(json.dumps(start).encode() + b"\n")
said = b""
while more := script.recv(100):
    said += more
code = int(said or -signal.SIGKILL)
if code < 0:
    if code != -signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)

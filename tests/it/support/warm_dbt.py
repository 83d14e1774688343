"""Runs Python scripts in forks of a process that has imported dbt: the import takes most of a short command.

This is that process. Descriptor 0 is a listening socket; the end of descriptor 1 ends it. `warm_python.py` connects to it.
"""

import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys


def main():
    listener = socket.socket(fileno=os.dup(0))
    # Nobody waits for the supervisors.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while 1 not in select.select([listener, 1], [], [])[0]:
        # Only now, because most tests do not start dbt.
        import_dbt()
        connection, _ = listener.accept()
        if not os.fork():
            listener.close()
            supervise(connection)
        connection.close()
    shutil.rmtree(os.path.dirname(__file__))


def import_dbt():
    for module in ("adapters.postgres", "cli.main"):
        __import__(f"dbt.{module}")
    for task in ("build", "compile", "debug", "deps", "list", "run", "seed", "test"):
        __import__(f"dbt.task.{task}")


def supervise(connection):
    """Runs the script of a connection in a process group of its own, until either ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
    lines = connection.makefile("rb", buffering=0)
    start = json.loads(read_line(lines))
    child = os.fork()
    if not child:
        lines.close()
        connection.close()
        become(start, descriptors)
        run(start["arguments"])
    for descriptor in (0, 1, 2, *descriptors):
        os.close(descriptor)
    ended = os.pidfd_open(child)
    while ended not in select.select([connection, ended], [], [])[0]:
        line = read_line(lines)
        # No line: the one who asked was killed.
        signal_group(child, int(line) if line else signal.SIGKILL)
        if not line:
            os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        connection.sendall(str(code).encode())
    finally:
        os._exit(0)


def read_line(lines):
    line = lines.readline()
    while line and not line.endswith(b"\n") and (more := lines.readline()):
        line += more
    return line


def signal_group(child, number):
    try:
        os.killpg(child, number)
    except ProcessLookupError:
        os.kill(child, number)


def become(start, descriptors):
    os.setpgid(0, 0)
    for there, descriptor in enumerate(descriptors):
        os.dup2(descriptor, there)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(start["environment"])
    os.chdir(start["directory"])


def run(arguments):
    sys.argv = list(arguments)
    modules = os.environ.get("PYTHONPATH", "").split(":")
    sys.path[:1] = [os.path.dirname(os.path.abspath(arguments[0])), *filter(None, modules)]
    runpy.run_path(arguments[0], run_name="__main__")
    sys.exit(0)


if __name__ == "__main__":
    main()

"""Runs Python scripts in forks of a process that has imported dbt: the import takes most of a short command. It has also done what
dbt does in each parse, with the caches that dbt has for its own tests.

This is that process. Descriptor 0 is a listening socket; the end of descriptor 1 ends it. `warm_python.py` connects to it. The
argument is the folder of the package.
"""

import gc
import json
import os
import pathlib
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
    if "dbt" in sys.modules:
        return
    for module in ("adapters.postgres", "cli.main"):
        __import__(f"dbt.{module}")
    for task in ("build", "compile", "debug", "deps", "list", "run", "seed", "test"):
        __import__(f"dbt.task.{task}")
    build_schemas()
    parse_macros()
    # A command ends before it needs the memory back.
    gc.disable()
    gc.freeze()


def build_schemas():
    """The JSON schemas by which dbt validates projects and models. It builds each once, which takes a quarter of a parse."""
    from dbt.adapters.postgres.connections import PostgresCredentials
    from dbt.artifacts.resources.v1.config import TestConfig
    from dbt.artifacts.resources.v1.model import ModelConfig
    from dbt.artifacts.resources.v1.seed import SeedConfig
    from dbt.contracts.graph import nodes, unparsed
    from dbt.contracts.project import Configuration, PackageConfig, Project, ProjectFlags

    used = [Configuration, PackageConfig, PostgresCredentials, Project, ProjectFlags, ModelConfig, SeedConfig, TestConfig]
    used += [nodes.ModelNode, nodes.SeedNode, nodes.GenericTestNode, nodes.SingularTestNode]
    used += [unparsed.UnparsedModelUpdate, unparsed.UnparsedNodeUpdate, unparsed.UnparsedMacroUpdate]
    for one in used:
        one.json_schema()


def parse_macros():
    """The macros of dbt, its adapter and the package, and what they call."""
    import dbt.include.global_project
    import dbt.include.postgres
    from dbt.clients import jinja_static
    from dbt_common.clients import jinja
    from dbt_common.tests import enable_test_caching
    from jinja2.nodes import Call

    enable_test_caching()
    for package in dbt.include.global_project.PACKAGE_PATH, dbt.include.postgres.PACKAGE_PATH, sys.argv[1]:
        for file in pathlib.Path(package, "macros").rglob("*.sql"):
            blocks = {"macro", "materialization", "test", "data_test"}
            for block in jinja.extract_toplevel_blocks(file.read_text(), allowed_blocks=blocks, collect_raw_data=False):
                parsed = jinja.parse(block.full_block)
                parsed._dbt_cached_calls = tuple(parsed.find_all(Call))
                jinja_static._TESTING_MACRO_CACHE[block.full_block] = parsed


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

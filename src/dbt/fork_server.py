"""Imports dbt once and runs each of its commands in a fork, as the user's `dbt` would run it.

The argument is that `dbt`. Standard error is a socket. Each message from it brings the socket of a session, which is a
fork that runs the commands for one project; the end of the socket ends this process.

Each line from a session's socket is a command, and brings the descriptors for its output; each line to it is the exit
code of a command. A session parses by itself, and its other commands are forks that have its manifest.
"""

import gc
import json
import os
import signal
import socket
import sys
import threading

INTERRUPTS = []


def main(program):
    control = socket.socket(fileno=os.dup(2))
    # Sessions without a command write nowhere.
    os.dup2(1, 2)
    look_beside(program)
    try:
        cli = import_dbt()
    except BaseException as error:
        answer(control, broken=f"{type(error).__name__}: {error}")
        raise
    signal.signal(signal.SIGINT, interrupt)
    sessions = []
    while descriptors := receive(control)[1]:
        session = fork(control)
        if not session:
            control.close()
            return serve(socket.socket(fileno=descriptors[0]), cli, program)
        close(descriptors)
        sessions.append(session)
    # The program that started this process waits for it, and so for the commands of all sessions.
    for session in sessions:
        os.waitpid(session, 0)


def interrupt(*_):
    INTERRUPTS.append(True)
    raise KeyboardInterrupt


def look_beside(program):
    """Python looks for modules in the folder of a script first, which would be that of this one."""
    here = os.path.dirname(os.path.realpath(__file__))
    if sys.path and os.path.realpath(sys.path[0]) == here:
        sys.path[0] = os.path.dirname(os.path.realpath(program))


def import_dbt():
    from dbt.cli.main import cli

    # dbt imports its tasks when they run, which would be in each fork.
    for task in ("build", "compile", "list", "parse", "test"):
        try:
            __import__(f"dbt.task.{task}")
        except ImportError:
            pass
    # The command that starts it would lend it its output for ever.
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()
    return cli


def serve(control, cli, program):
    """Runs the commands of a session."""
    manifest = None
    while True:
        line, output = receive(control)
        if not line:
            return None
        command = {**json.loads(line), "output": output, "program": program}
        if command["arguments"][0] == "parse":
            code, manifest = run_here(cli, command)
        elif child := fork(control):
            close(output)
            code = exit_code(os.waitpid(child, 0)[1])
        else:
            control.close()
            return run(cli, command, {"manifest": manifest})
        answer(control, code=code)


def fork(control):
    if threading.active_count() > 1:
        # Threads do not survive a fork, and what they have locked stays locked.
        answer(control, broken="dbt or one of its plugins started threads")
        sys.exit(1)
    gc.freeze()
    return os.fork()


def run(cli, command, known):
    """Runs the command in this process, which ends with it unless the exit is caught."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    for there, descriptor in enumerate(command["output"], start=1):
        os.dup2(descriptor, there)
    close(command["output"])
    for name, value in command["environment"].items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if command["directory"]:
        os.chdir(command["directory"])
    sys.argv = [command["program"], *command["arguments"]]
    sys.exit(cli(obj=known))


def run_here(cli, command):
    """The exit code of a command and its manifest. This process goes on, without the command's output and variables."""
    variables, known, code = dict(os.environ), {"manifest": None}, 0
    try:
        run(cli, command, known)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    sys.stdout.flush()
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    os.environ.clear()
    os.environ.update(variables)
    return code, known["manifest"]


def receive(control):
    """The next line with its descriptors; empty at the end, which an interrupt is, too."""
    line, descriptors = b"", []
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        while not INTERRUPTS and not line.endswith(b"\n"):
            data, more, _, _ = socket.recv_fds(control, 65536, 2)
            if not data:
                return b"", []
            line, descriptors = line + data, descriptors + more
    except KeyboardInterrupt:
        pass
    finally:
        # An interrupted command ends before its session does.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    return (b"", []) if INTERRUPTS else (line, descriptors)


def answer(control, **said):
    control.sendall(json.dumps(said).encode() + b"\n")


def exit_code(status):
    """The exit code, as a shell says it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def close(descriptors):
    for descriptor in descriptors:
        os.close(descriptor)


if __name__ == "__main__":
    main(sys.argv[1])

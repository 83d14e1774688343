"""The two ways to run dbt: v1 in this process, which saves its start-up each time, and v2, which is a program."""

import importlib.metadata
import json
import pathlib
import re
import subprocess
import sys

VERSION = tuple(int(part) for part in importlib.metadata.version("dbt-core").split(".")[:2])
IS_V2 = VERSION >= (2, 0)


class Invocation:
    """What one dbt command says and does. `nodes` maps the name of each node to its message, or to `status: message`."""

    def __init__(self, arguments):
        self.said, self.warned, self.nodes = "", [], {}
        self.succeeded = (self.with_v2 if IS_V2 else self.with_v1)(arguments)

    def add(self, name, status, message):
        self.nodes[name] = message if status in ("success", "pass") else f"{status}: {message}"

    def with_v1(self, arguments):
        from dbt.cli.main import dbtRunner

        lines = []

        def hear(event):
            if event.info.level != "debug":
                lines.append(event.info.msg)
            if event.info.level == "warn":
                self.warned.append(event.info.msg)

        runner = dbtRunner(callbacks=[hear])
        # The log files of all these invocations have no reader.
        done = runner.invoke(["--log-level", "info", "--no-use-colors", "--log-level-file", "none", *arguments])
        self.said = "\n".join(lines + ([str(done.exception)] if done.exception else []))
        for result in getattr(done.result, "results", None) or []:
            node = getattr(result, "node", None)
            if node is not None:
                self.add(node.name, str(result.status), result.message)
        return done.success

    def with_v2(self, arguments):
        """From dbt's log and artifacts. It reports `Succeeded` for every model; the package logs what was done."""
        target = pathlib.Path("target")
        (target / "run_results.json").unlink(missing_ok=True)
        program = pathlib.Path(sys.executable).with_name("dbt")
        command = [program, "--log-format", "json", "--log-level-file", "off", *arguments]
        try:
            ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        except subprocess.TimeoutExpired as expired:
            self.said = f"dbt did not end within {expired.timeout:.0f} s:\n{(expired.stdout or b'').decode()}"
            return False
        lines, done = [], {}
        for line in (ran.stdout + ran.stderr).splitlines():
            event = json.loads(line) if line.startswith("{") else {"info": {"level": "info", "msg": line}, "data": {}}
            text, level = event["info"]["msg"], event["info"]["level"]
            if level == "debug":
                continue
            lines.append(text)
            if level in ("warn", "warning") or text.startswith("[warning]"):
                self.warned.append(text)
            report = re.match(r"pg_trickle: [^ ]+: ((?:CREATE|ALTER|RECREATE)\b.*)", text, re.S)
            if report:
                done[event["data"].get("node_info", {}).get("unique_id")] = report[1]
        self.said = "\n".join(lines)
        if (target / "run_results.json").exists():
            materialized = {name: node.get("config", {}).get("materialized") for name, node in json.loads((target / "manifest.json").read_text())["nodes"].items()}
            for result in json.loads((target / "run_results.json").read_text())["results"]:
                name, status, message = result["unique_id"], result["status"], result["message"]
                # `warn` is a success in which a macro warned.
                if status in ("success", "warn") and materialized.get(name) in ("stream_table", "stable_view"):
                    status, message = "success", done.get(name, "UNCHANGED")
                # A test's hash is behind its name. An operation has only one part.
                self.add(name.split(".")[min(2, name.count("."))], status, message)
        return ran.returncode == 0

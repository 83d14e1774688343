"""The Action until it posts the comment."""

import http.server
import json
import os
import subprocess
import sys
import threading
import time

from measure import BINARY, beside_dbt, in_project, of_dbt


class GitHub(http.server.BaseHTTPRequestHandler):
    """As much of GitHub as the first comment of a pull request needs; it keeps the moment at which that was posted."""

    posted = None

    def answer(self, status, answer):
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        self.answer(200, [])

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/graphql":
            return self.answer(200, {"data": {"viewer": {"login": "us"}}})
        GitHub.posted = time.perf_counter()
        self.answer(201, {"id": 1, "html_url": "https://github.com/octo-org/shop/1"})

    def log_message(self, *_):
        pass


def comment():
    """The steps of the Action, in the project. The time that is given to changing rows is the user's, and none here."""
    action, event = os.path.abspath("action/steps.sh"), os.path.abspath("tests/it/events/pull_request.json")
    in_project()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), GitHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    there = {
        "RUNNER_TEMP": os.getcwd(),
        "GITHUB_OUTPUT": "output",
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": event,
        "GITHUB_REPOSITORY": "octo-org/shop",
        "GITHUB_API_URL": f"http://127.0.0.1:{server.server_port}",
        "WORKING_DIRECTORY": ".",
        "PROGRAM": BINARY,
        "MODE": "run",
    }
    gate = {
        "INPUT_BUDGET": "0s",
        "INPUT_JSON": "report.json",
        "INPUT_JUNIT": "",
        "INPUT_MARKDOWN": "",
        "INPUT_ENGINE": "emulator",
        "INPUT_DATABASE_URL": "",
        "PGTRICKLE_CI_VERBOSE": "true",
    }
    runs = []
    for _ in range(5):
        GitHub.posted = None
        begin = time.perf_counter()
        done = subprocess.run(
            [action, "gate"], check=False, env=os.environ | there | gate, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        subprocess.run(
            [action, "comment"],
            env=os.environ | there | {"REPORT": "report.json", "GITHUB_TOKEN": "us"},
            stderr=subprocess.DEVNULL,
            check=True,
        )
        if done.returncode or not GitHub.posted:
            sys.exit(f"{done.stderr}error: nothing was posted")
        runs.append((GitHub.posted - begin, of_dbt(done.stderr)))
    beside_dbt("the Action, until it posts the comment", runs)

"""Follows docs/tutorial.md in an empty folder: tutorial.py FOLDER PAGE writes the page with the output of its commands to PAGE,
in the colors of a terminal.

A block after a line that ends with the name of a file, as `models/orders.sql`:, is that file. A block of `console` is run.
The indented blocks of its chapter Install are not: what they install is on the PATH.
"""

import os
import pathlib
import re
import subprocess
import sys

from fixed import fixed

ROOT = pathlib.Path.cwd()
folder, page = map(pathlib.Path, sys.argv[1:])
PACKAGE = "  - git: https://github.com/trickle-labs/pgtrickle-action.git\n    revision: main # better: a commit\n"
NOBODY = {f"GIT_{who}_{what}": "nobody" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
BLOCK = re.compile(r"(?:`(?P<file>[\w./-]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


def write(file, text):
    """The file, with the package of this checkout."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace(PACKAGE, f"  - local: {ROOT}\n"))


def answer(command):
    """What the command prints. Its progress is left out; a command that prints nothing else has said it there."""
    environment = {**os.environ, **NOBODY, "GIT_CONFIG_GLOBAL": os.devnull, "PGTRICKLE_CI_COLOR": "always"}
    ran = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode not in (0, 1):
        sys.exit(f"error: `{command}` of docs/tutorial.md ended with {ran.returncode}:\n{ran.stderr}")
    return fixed(ran.stdout or ran.stderr)


def followed(block):
    if block["language"] == "console":
        commands = re.findall(r"^\$ (.*)\n", block["text"], re.MULTILINE)
        text = "".join(f"$ {command}\n{answer(command)}" for command in commands)
        return f"```console\n{text}```"
    if block["file"]:
        write(block["file"], block["text"])
    return block[0]


folder.mkdir(parents=True)
page.write_text(BLOCK.sub(followed, (ROOT / "docs/tutorial.md").read_text()))

"""Fills the generated blocks of the pages, or with --check compares them."""

import ast
import difflib
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from fixed import fixed, plain
from terminal import picture

out, check = pathlib.Path(sys.argv[1]), "--check" in sys.argv[2:]
# With colors.
tutorial = (out / "tutorial.md").read_text()
DOCS = pathlib.Path("docs")
REFERENCE = DOCS / "reference.md"

CHANGES = {"alter": "altered in place", "recreate": "dropped and created", "nothing": "counts at creation only"}


def fail(message):
    sys.exit(f"error: {message}")


def run(*arguments):
    return subprocess.run(["pgtrickle-ci", *arguments], check=False, capture_output=True, text=True)


def fenced(language, text):
    return f"```{language}\n{fixed(text).rstrip()}\n```"


def comment():
    """The comment as a quotation, without the fold that has a row a check."""
    text = fixed((out / "comment.md").read_text())
    text, cut = re.subn(r"<details><summary>\d+ checks by stage</summary>.*?</details>\n\n?", "", text, flags=re.DOTALL)
    if cut != 1:
        fail("the comment has no fold with its checks: change scripts/docs/pages.py with it")
    return "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines())


def red_run():
    """The run of the tutorial that fails."""
    blocks = re.findall(r"^```console\n(.*?)^```", tutorial, re.DOTALL | re.MULTILINE)
    [red] = [block for block in blocks if "✗ failed" in block]
    return red.replace(" --budget 5s", "")


def settings():
    source = pathlib.Path("macros/settings/_pgtrickle_known_settings.sql").read_text()
    literal = re.search(r"return\((\{.*\})\)", source, re.DOTALL)
    known = ast.literal_eval(re.sub(r"(?<=: )(true|false)\b", lambda word: word[0].title(), literal[1]))
    code = lambda value: f"`{str(value).lower() if isinstance(value, bool) else value}`"
    rows = ["| key | values | default | a change is | |", "|---|---|---|---|---|"]
    for key, spec in known.items():
        values = ", ".join(map(code, spec["values"])) if "values" in spec else {"integer": "whole number"}.get(spec["type"], spec["type"])
        default = code(spec["default"]) if "default" in spec else ""
        rows.append(f"| `{key}` | {values} | {default} | {CHANGES[spec.get('changed_by', 'alter')]} | {spec['about']} |")
    return "\n".join(rows)


def subcommands(text):
    listed = re.search(r"^Commands:\n((?:  .*\n)+)", text, re.MULTILINE)
    return [name for name in re.findall(r"^  (\w+) ", listed[1] if listed else "", re.MULTILINE) if name != "help"]


def options(text):
    """The options of a section, each with its lines: `-q, --quiet` and what it is."""
    return re.findall(r"^ +-.*\n(?:(?! +-).+\n)*", text, re.MULTILINE)


def fold(command, shared):
    """The help of a command and of its subcommands, without the options that all commands share."""
    text = run(*command, "--help").stdout
    for option in options(text):
        if flags(option) in shared:
            text = text.replace(option, "")
    text = re.sub(r"^Options:\n(?=\n|\Z)", "", text, flags=re.MULTILINE)
    text = re.sub(r"\n{3,}", "\n\n", text)
    name = " ".join(command)
    below = [fold([*command, sub], shared) for sub in subcommands(text)]
    own = f"<details><summary><code>pgtrickle-ci {name}</code></summary>\n\n{fenced('text', text)}\n\n</details>"
    return "\n\n".join([own, *below])


def flags(option):
    return re.match(r" +(.*?)(?:  |\n)", option)[1]


def commands():
    top = run("--help").stdout
    shared = {flags(option) for option in options(top)}
    folds = [fold([name], shared) for name in subcommands(top)]
    return "\n\n".join([fenced("text", top), "Every command takes these options. The others of each command:", *folds])


def check_example(text):
    """The configuration file that the reference shows is read by the program and has every key that there is."""
    example = re.search(r"<!-- example:config -->\n```yaml\n(.*?)```\n<!-- /example:config -->", text, re.DOTALL)
    if not example:
        fail(f"{REFERENCE} has no example of the configuration file")
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write(example[1])
        file.flush()
        said = run("--config", file.name, "plan", "--manifest", "/dev/null").stderr
        if "configuration file" in said:
            fail(f"the configuration file of {REFERENCE} is refused: {said}")
    schema = json.loads((DOCS / "pgtrickle-ci.schema.json").read_text())
    keys = {key for part in [schema, *schema["$defs"].values()] for key in part.get("properties", {})}
    missing = [key for key in sorted(keys) if not re.search(rf"\b{key}:", example[1])]
    if missing:
        fail(f"the configuration file of {REFERENCE} lacks {', '.join(missing)}")


def filled(page, blocks):
    """The text of a page with its blocks generated again."""
    text = page.read_text()
    for name, make in blocks.items():
        begin, end = f"<!-- output:{name} -->", f"<!-- /output:{name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            fail(f"{page} has to have {begin} and {end} once")
        head, rest = text.split(begin)
        text = f"{head}{begin}\n{make()}\n{end}{rest.split(end)[1]}"
    return text


check_example(REFERENCE.read_text())
pages = {
    pathlib.Path("README.md"): {
        "check": lambda: fenced("text", "$ pgtrickle-ci check --quiet\n" + (out / "check.txt").read_text()),
    },
    DOCS / "plan.md": {"plan": lambda: fenced("text", "$ pgtrickle-ci plan\n" + (out / "plan.txt").read_text())},
    DOCS / "action.md": {"comment": comment},
    DOCS / "settings.md": {"settings": settings},
    REFERENCE: {"commands": commands},
}
generated = {page: filled(page, blocks) for page, blocks in pages.items()}
generated[DOCS / "tutorial.md"] = plain(tutorial)
generated[DOCS / "run.svg"] = picture("run", red_run())
outdated = False
for page, after in generated.items():
    before = page.read_text() if page.exists() else ""
    if before == after:
        print(f"{page} is up to date")
    elif check:
        outdated = True
        sys.stdout.writelines(difflib.unified_diff(before.splitlines(True), after.splitlines(True), str(page), f"{page}, generated"))
    else:
        page.write_text(after)
        print(f"{page} written")
if outdated:
    fail("run scripts/docs.sh")

"""Writes the workflows of the pages into a folder, so that they are linted as what they are."""

import pathlib
import re
import shutil
import sys

folder = pathlib.Path(sys.argv[1])
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)
count = 0
for page in sorted(pathlib.Path("docs").glob("*.md")):
    for block in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE):
        if re.search(r"^jobs:$", block, re.MULTILINE):
            count += 1
            (folder / f"{page.stem}-{count}.yml").write_text(block)
if count < 6:
    sys.exit(f"error: only {count} workflows were found")

#!/usr/bin/env bash
# Builds the documentation site of docs/ into target/site. A link or an anchor without a target fails, and so does a page
# that the navigation lacks. It needs Python 3.11 or newer, and nothing else of this repository.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/target/site-tools
if ! cmp -s docs/requirements.txt "$tools/requirements.txt"; then
  echo "installing Sphinx"
  python3 -m venv "$tools"
  "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --requirement docs/requirements.txt
  cp docs/requirements.txt "$tools/requirements.txt"
fi
# All pages are read again: a kept state hides warnings.
"$tools/bin/sphinx-build" --quiet --fresh-env --write-all --fail-on-warning --builder html \
  --doctree-dir target/site-doctrees docs target/site
echo "the site is in target/site"

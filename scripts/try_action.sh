#!/usr/bin/env bash
# Runs the workflows of docs/workflows.md and docs/nightly.md with this Action, without GitHub: by wrkflw, which builds in a few minutes.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

tools=$root/target/wrkflw
if ! [[ -x $tools/bin/wrkflw ]]; then
  echo "building a runner for workflows"
  cargo install --quiet --debug --locked --no-default-features --root "$tools" wrkflw@0.8.0
fi
export PGTRICKLE_CI_TEST_RUNNER=$tools/bin/wrkflw
cargo test --locked --test it -- --ignored --test-threads 1 workflows:: "$@"

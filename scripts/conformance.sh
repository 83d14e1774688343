#!/usr/bin/env bash
# The conformance suite: on an ephemeral server with the emulator, or on the one that PGTRICKLE_CI_TEST_DSN names.
# Arguments are parts of scenarios' names. On the real extension `--record` writes its answers into the scenarios;
# `--marks` writes their marks into docs/emulator.md.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

cargo test --locked --quiet --test conformance -- "$@"

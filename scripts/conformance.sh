#!/usr/bin/env bash
# The conformance suite: on an ephemeral server with the emulator, on the one that PGTRICKLE_CI_TEST_DSN names, or on one of the
# image PGTRICKLE_CI_IMAGE.
# Arguments are parts of scenarios' names. On the real extension `--record` writes its answers into the scenarios;
# `--marks` writes their marks into docs/emulator.md.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

if [[ -n ${PGTRICKLE_CI_IMAGE:-} && -z ${PGTRICKLE_CI_TEST_DSN:-} ]]; then
  # shellcheck disable=SC2016  # a variable of the command
  exec pgtrickle-ci ephemeral -- sh -c 'PGTRICKLE_CI_TEST_DSN=$DATABASE_URL exec scripts/conformance.sh "$@"' sh "$@"
fi
cargo test --locked --quiet --test conformance -- "$@"

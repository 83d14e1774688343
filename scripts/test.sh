#!/usr/bin/env bash
# Every test: units, the built binary, and the gate against a server. With --quick first, what takes seconds: without
# the tests that run whole gates, many dbt commands or long verifications.
#
# The server is an ephemeral one with the emulator, unless PGTRICKLE_CI_TEST_DSN names another, whose role may create
# databases: postgresql://user:password@host:port/database
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

# They wait for servers and for dbt more than they work.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-6}
if [[ "${1:-}" == --quick ]]; then
  slow=(adapter:: agreement:: chosen_target:: connections:: dbt_parity:: edits:: gate:: hidden_rows:: image::
    interrupted:: one_process:: project:: rehearsal:: sources:: targets:: verify:: checks::soak::)
  cargo test --locked --lib
  cargo test --locked --test it -- "${slow[@]/#/--skip=}"
else
  cargo test --locked "$@"
fi

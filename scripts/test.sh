#!/usr/bin/env bash
# Every test: units, the built binary, and the gate against a server.
#
# The server is an ephemeral one with the emulator, unless PGTRICKLE_CI_TEST_DSN names another, whose role may create
# databases: postgresql://user:password@host:port/database
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

# They wait for servers and for dbt more than they work.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-6}
cargo test --locked "$@"

#!/usr/bin/env bash
# The whole gate on integration_tests/, on a server of its own; arguments go to `pgtrickle-ci run`. Without pgtrickle-ci
# on the PATH: its dbt part, on the server that PGHOST and its like name.
set -euo pipefail
cd "$(dirname "$0")/.."

if command -v pgtrickle-ci >/dev/null; then
  exec pgtrickle-ci run --project-dir integration_tests --profiles-dir integration_tests "$@"
fi
cd integration_tests
export DBT_PROFILES_DIR=.
dbt deps
dbt build
dbt run-operation pgtrickle_status

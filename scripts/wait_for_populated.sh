#!/usr/bin/env bash
# Waits until a stream table, or every one of the dbt project here, is populated.
#   scripts/wait_for_populated.sh [SCHEMA.NAME] [SECONDS]
# For the project it is `pgtrickle-ci wait`. A table by its name is asked for with psql, on the server that PGHOST and its
# like name.
set -euo pipefail

name=
if [[ "${1:-}" == *[!0-9]* ]]; then
  name=$1
  shift
fi
seconds=${1:-120}

if [[ -z "$name" ]]; then
  if ! command -v pgtrickle-ci >/dev/null; then
    echo "error: pgtrickle-ci is not on the PATH: without it, name one table as SCHEMA.NAME" >&2
    exit 2
  fi
  exec pgtrickle-ci wait --timeout "${seconds}s"
fi

for ((waited = 0; ; waited++)); do
  state=$(psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --set=name="$name" <<'SQL'
select case when is_populated then 'populated' else status end
from pgtrickle.pgt_stream_tables where pgt_schema || '.' || pgt_name = :'name'
SQL
  ) || exit 2
  if [[ $state == populated ]]; then
    echo "$name is populated"
    exit 0
  fi
  if ((waited >= seconds)); then
    echo "error: $name is ${state:-not there} after $seconds s" >&2
    exit 1
  fi
  sleep 1 # in the client: a statement that waits would hold the refresh back
done

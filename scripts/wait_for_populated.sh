#!/usr/bin/env bash
# Waits until a stream table, or every one of the dbt project here, is populated.
#   scripts/wait_for_populated.sh [NAME|SCHEMA.NAME] [SECONDS]
# For the project it is `pgtrickle-ci wait`, with 120 seconds. A table by its name gets 30, and is asked for with psql, on the
# server that PGHOST and its like name. A bare name is looked for in every schema: all tables of that name have to be populated.
set -euo pipefail

name=
if [[ "${1:-}" == *[!0-9]* ]]; then
  name=$1
  shift
fi

if [[ -z "$name" ]]; then
  if ! command -v pgtrickle-ci >/dev/null; then
    echo "error: pgtrickle-ci is not on the PATH: without it, name one table" >&2
    exit 2
  fi
  exec pgtrickle-ci wait --timeout "${1:-120}s"
fi

seconds=${1:-30}
for ((waited = 0; ; waited++)); do
  state=$(psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --set=name="$name" <<'SQL'
select string_agg(pgt_schema || ' is ' || status, ', ') filter (where not is_populated), bool_and(is_populated)
from pgtrickle.pgt_stream_tables where :'name' in (pgt_name, pgt_schema || '.' || pgt_name)
SQL
  ) || exit 2
  if [[ $state == "|t" ]]; then
    echo "$name is populated"
    exit 0
  fi
  if ((waited >= seconds)); then
    if [[ $state == "|" ]]; then
      echo "error: there is no stream table $name after $seconds s" >&2
    else
      echo "error: $name is not populated after $seconds s: in the schema ${state%|*}" >&2
    fi
    exit 1
  fi
  sleep 1 # in the client: a statement that waits would hold the refresh back
done

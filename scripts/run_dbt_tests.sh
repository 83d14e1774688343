#!/usr/bin/env bash
# The whole gate on integration_tests/, on a server of its own; arguments go to `pgtrickle-ci run`. Without pgtrickle-ci
# on the PATH: its dbt part, on the server that PGHOST and its like name.
#   --skip-build        taken and ignored: no image is built for it
# A server of its own is gone at the end. To keep one, name it: `pgtrickle-ci ephemeral -- bash`, or --database-url.
set -euo pipefail
cd "$(dirname "$0")/.."

arguments=()
for argument in "$@"; do
  case $argument in
    --skip-build) ;;
    --keep-container)
      echo "error: --keep-container: there is no container to keep. Run the script within \`pgtrickle-ci ephemeral -- bash\`, or name a server with --database-url" >&2
      exit 2
      ;;
    *) arguments+=("$argument") ;;
  esac
done

if command -v pgtrickle-ci >/dev/null; then
  exec pgtrickle-ci run --project-dir integration_tests --profiles-dir integration_tests "${arguments[@]}"
fi
if [[ ${#arguments[@]} != 0 ]]; then
  echo "error: without pgtrickle-ci on the PATH there are no arguments: ${arguments[*]}" >&2
  exit 2
fi
cd integration_tests
export DBT_PROFILES_DIR=.
dbt deps
dbt build
dbt run-operation pgtrickle_status

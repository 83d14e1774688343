#!/usr/bin/env bash
# Fills the blocks of README.md and docs/ that come from the program and the macros, and follows the tutorial.
#   scripts/docs.sh           writes them
#   scripts/docs.sh --check   writes nothing; the exit code is 1 when one of them would change
# The pictures are made on an ephemeral server with the emulator. Ports, times and minor versions are replaced by
# fixed ones, so that a rerun gives the same text.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh" >&2

out=target/docs
project=$out/project
export COLUMNS=100 NO_COLOR=1 DBT_SEND_ANONYMOUS_USAGE_STATS=false
unset GITHUB_ACTIONS

# Deploys integration_tests/ to the server that the environment names, changes a copy of it, and plans and runs that.
make_pictures() {
  cp -R integration_tests "$project"
  rm -rf "$project/target" "$project/logs" "$project/dbt_packages" "$project/package-lock.yml"
  printf 'packages:\n  - local: %s\n' "$root" >"$project/packages.yml"
  pgtrickle-ci run --quiet --project-dir "$project" --profiles-dir "$project" --database-url "$DATABASE_URL"

  "$VIRTUAL_ENV/bin/python" scripts/docs/capture.py disable
  pgtrickle-ci check --quiet --project-dir "$project" --profiles-dir "$project" >"$out/check.txt" 2>/dev/null || [[ $? == 1 ]]
  "$VIRTUAL_ENV/bin/python" scripts/docs/capture.py enable

  "$VIRTUAL_ENV/bin/python" scripts/docs/change_project.py "$project"

  (
    cd "$project"
    # A drop and a replacement are not allowed.
    pgtrickle-ci plan >../plan.txt || [[ $? == 1 ]]
    # It fails, and says why: that is the picture.
    pgtrickle-ci run --database-url "$DATABASE_URL" --allow-drop paid_totals --allow-recreate order_extremes \
      --markdown ../comment.md --html ../report.html >/dev/null 2>&1 || [[ $? == 1 ]]
  )
}

if [[ "${1:-}" == --pictures ]]; then
  make_pictures
  exit
fi

rm -rf "$out"
mkdir -p "$out"
# In a folder without a repository around it, as a reader has it.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$VIRTUAL_ENV/bin/python" scripts/docs/tutorial.py "$folder/shop" "$out/tutorial.md" &
tutorial=$!
pgtrickle-ci ephemeral --engine emulator -- scripts/docs.sh --pictures >&2
wait "$tutorial"

"$VIRTUAL_ENV/bin/python" scripts/docs/pages.py "$out" "$@"

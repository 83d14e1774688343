#!/usr/bin/env bash
# Drives integration_tests/coverage through all that the dbt package does, on each of these dbt versions.
#   scripts/dbt_matrix.sh [VERSION …]    1.6 … 1.13 and 2.0; all when left out
# Each version gets an environment of its own below target/dbt/, and an ephemeral server of its own: with the emulator, with
# what PGTRICKLE_CI_ENGINE says, or of the image PGTRICKLE_CI_IMAGE. PGTRICKLE_CI_TEST_DSN names an empty database instead.
# The output is in target/dbt/VERSION.log.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"
# shellcheck source=scripts/dbt_versions.sh
source scripts/dbt_versions.sh

export DBT_SEND_ANONYMOUS_USAGE_STATS=false DBT_PROFILES_DIR=.

# Into a copy of the project, so that nothing of one version meets another.
enter_project() {
  local project=$root/target/dbt/project-$1
  rm -rf "$project"
  cp -R "$root/integration_tests/coverage" "$project"
  rm -rf "$project/target" "$project/logs" "$project/dbt_packages" "$project/package-lock.yml"
  printf 'packages:\n  - local: %s\n' "$root" >"$project/packages.yml"
  cd "$project"
}

drive() {
  local command=("$root/target/dbt/$1/bin/python" drive.py)
  if [[ -n ${PGTRICKLE_CI_TEST_DSN:-} ]]; then
    python3 "$root/scripts/on_named_server.py" "${command[@]}"
    return
  fi
  [[ -n ${PGTRICKLE_CI_IMAGE:-} ]] || export PGTRICKLE_CI_ENGINE=${PGTRICKLE_CI_ENGINE:-emulator}
  pgtrickle-ci ephemeral -- "${command[@]}"
}

# One version, called in a process of its own.
if [[ "${1:-}" == --one ]]; then
  install "$2"
  enter_project "$2"
  use_dbt "$2"
  drive "$2"
  exit
fi

if [[ $# == 0 ]]; then
  set -- 1.6 1.7 1.8 1.9 1.10 1.11 1.12 1.13 2.0
fi
for version in "$@"; do requirements "$version" >/dev/null; done
mkdir -p target/dbt
failed=0
for version in "$@"; do
  if scripts/dbt_matrix.sh --one "$version" >"target/dbt/$version.log" 2>&1; then
    tail -n 1 "target/dbt/$version.log"
  else
    cat "target/dbt/$version.log"
    echo "dbt $version: failed"
    failed=1
  fi
done
exit $failed

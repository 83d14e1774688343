#!/usr/bin/env bash
# Drives integration_tests/coverage through all that the dbt package does, on each of these dbt versions.
#   scripts/dbt_matrix.sh [VERSION …]    1.6 … 1.12, and 2.0, which can only be asked to parse and compile; all when left out
# Each version gets an environment of its own below target/dbt/, and an ephemeral server of its own: with the emulator,
# or with what PGTRICKLE_CI_ENGINE says. What dbt says stands in target/dbt/VERSION.log.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

export DBT_SEND_ANONYMOUS_USAGE_STATS=false DBT_PROFILES_DIR=.

# The parser for v2 that 1.12 asks for is used only when somebody asks for it; this is its last wheel.
requirements() {
  case $1 in
    1.6) echo dbt-core==1.6.19 dbt-postgres==1.6.19 ;;
    1.7) echo dbt-core==1.7.20 dbt-postgres==1.7.20 ;;
    1.8) echo dbt-core==1.8.10 dbt-postgres==1.8.2 ;;
    1.9) echo dbt-core==1.9.11 dbt-postgres==1.9.1 ;;
    1.10) echo dbt-core==1.10.23 dbt-postgres==1.10.2 ;;
    1.11) echo dbt-core==1.11.16 dbt-postgres==1.11.0 ;;
    1.12) echo dbt-core==1.12.0 dbt-core-experimental-parser==2.0.0a4 dbt-postgres==1.11.0 ;;
    2.0) echo dbt-core==2.0.0a4 ;;
    *) lacks "dbt $1 is not in the matrix: 1.6 to 1.12 and 2.0 are" ;;
  esac
}

install() {
  local environment=$root/target/dbt/$1 wanted
  wanted=$(requirements "$1")
  [[ "$(cat "$environment/requirements" 2>/dev/null)" == "$wanted" ]] && return
  python3 -m venv "$environment"
  # shellcheck disable=SC2086  # several words
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check $wanted
  echo "$wanted" >"$environment/requirements"
}

# Into a copy of the project, so that nothing of one version meets another.
enter_project() {
  local project=$root/target/dbt/project-$1
  rm -rf "$project"
  cp -R "$root/integration_tests/coverage" "$project"
  rm -rf "$project/target" "$project/logs" "$project/dbt_packages" "$project/package-lock.yml"
  printf 'packages:\n  - local: %s\n' "$root" >"$project/packages.yml"
  cd "$project"
}

# dbt v2 has no server to work on here: its driver for PostgreSQL comes from elsewhere than its wheel.
compile() {
  local said
  export DBT_ALLOW_EXPERIMENTAL_ADAPTERS=true PGHOST=localhost
  for command in deps parse "compile --resource-type model"; do
    # shellcheck disable=SC2086  # several words
    said=$("$root/target/dbt/$1/bin/dbt" $command 2>&1) || { echo "$said"; return 1; }
    if grep -iE '\[(warning|error)\]' <<<"$said"; then
      echo "dbt $1: $command is not clean"
      return 1
    fi
  done
  echo "dbt $1: parsed and compiled without a warning"
}

drive() {
  pgtrickle-ci ephemeral --engine "${PGTRICKLE_CI_ENGINE:-emulator}" -- "$root/target/dbt/$1/bin/python" drive.py
}

# One version, called in a process of its own.
if [[ "${1:-}" == --one ]]; then
  install "$2"
  enter_project "$2"
  if [[ $2 == 2.* ]]; then compile "$2"; else drive "$2"; fi
  exit
fi

if [[ $# == 0 ]]; then
  set -- 1.6 1.7 1.8 1.9 1.10 1.11 1.12 2.0
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

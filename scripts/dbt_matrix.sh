#!/usr/bin/env bash
# Drives integration_tests/coverage through all that the dbt package does, on each of these dbt versions.
#   scripts/dbt_matrix.sh [VERSION …]    1.6 … 1.12, and 2.0, which can only be asked to parse and compile; all when left out
# Each version gets an environment of its own below target/dbt/, and an ephemeral server of its own: with the emulator,
# or with what PGTRICKLE_CI_ENGINE says. PGTRICKLE_CI_MATRIX_JOBS versions run side by side (default: all).
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

# A copy of the project, so that nothing of one version meets another.
project_of() {
  local project=$root/target/dbt/project-$1
  rm -rf "$project"
  cp -R integration_tests/coverage "$project"
  rm -rf "$project/target" "$project/logs" "$project/dbt_packages" "$project/package-lock.yml"
  printf 'packages:\n  - local: %s\n' "$root" >"$project/packages.yml"
  echo "$project"
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

# dbt v2 has no server to work on here: its driver for PostgreSQL comes from elsewhere than its wheel.
compile() {
  local said
  cd "$(project_of "$1")"
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
  cd "$(project_of "$1")"
  pgtrickle-ci ephemeral --engine "${PGTRICKLE_CI_ENGINE:-emulator}" -- "$root/target/dbt/$1/bin/python" drive.py
}

if [[ $# == 0 ]]; then
  set -- 1.6 1.7 1.8 1.9 1.10 1.11 1.12 2.0
fi
mkdir -p target/dbt
for version in "$@"; do requirements "$version" >/dev/null; done

failed=0
jobs=${PGTRICKLE_CI_MATRIX_JOBS:-$#}
while [[ $# -gt 0 ]]; do
  running=()
  for version in "${@:1:jobs}"; do
    {
      install "$version"
      if [[ $version == 2.* ]]; then compile "$version"; else drive "$version"; fi
    } >"target/dbt/$version.log" 2>&1 &
    running+=("$version:$!")
  done
  for one in "${running[@]}"; do
    if wait "${one#*:}"; then
      tail -n 1 "target/dbt/${one%:*}.log"
    else
      cat "target/dbt/${one%:*}.log"
      echo "dbt ${one%:*}: failed"
      failed=1
    fi
  done
  shift $((jobs < $# ? jobs : $#))
done
exit $failed

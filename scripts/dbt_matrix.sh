#!/usr/bin/env bash
# Drives integration_tests/coverage through all that the dbt package does, on each of these dbt versions.
#   scripts/dbt_matrix.sh [VERSION …]    1.6 … 1.13 and 2.0; all when left out
# Each version gets an environment of its own below target/dbt/, and an ephemeral server of its own: with the emulator, with
# what PGTRICKLE_CI_ENGINE says, or of the image PGTRICKLE_CI_IMAGE. PGTRICKLE_CI_TEST_DSN names an empty database instead.
# The output is in target/dbt/VERSION.log.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

export DBT_SEND_ANONYMOUS_USAGE_STATS=false DBT_PROFILES_DIR=.

# The parser for v2 that 1.12 asks for is used only on request; this is its last wheel.
requirements() {
  case $1 in
    1.6) echo dbt-core==1.6.19 dbt-postgres==1.6.19 ;;
    1.7) echo dbt-core==1.7.20 dbt-postgres==1.7.20 ;;
    1.8) echo dbt-core==1.8.10 dbt-postgres==1.8.2 ;;
    1.9) echo dbt-core==1.9.11 dbt-postgres==1.9.1 ;;
    1.10) echo dbt-core==1.10.23 dbt-postgres==1.10.2 ;;
    1.11) echo dbt-core==1.11.16 dbt-postgres==1.11.0 ;;
    1.12) echo dbt-core==1.12.0 dbt-core-experimental-parser==2.0.0a4 dbt-postgres==1.11.0 ;;
    1.13) echo "$(requirements 1.12)" dbt-state==2.62.3 metricflow==0.213.0 python-dotenv==1.2.4 ;;
    # A program; its driver for PostgreSQL is not in the wheel. drive.py wants the last two.
    2.0) echo dbt-core==2.0.0a4 adbc-driver-postgresql==1.13.0 psycopg2-binary==2.9.13 PyYAML==6.0.3 ;;
    *) lacks "dbt $1 is not in the matrix: 1.6 to 1.13 and 2.0 are" ;;
  esac
}

# What is installed over them, without its own requirements. The beta of 1.13 wants a parser that has no wheel on PyPI, but
# downloads one when it is installed.
replacements() {
  case $1 in 1.13) echo dbt-core==1.13.0b1 ;; esac
}

install() {
  local environment=$root/target/dbt/$1 wanted replacing
  replacing=$(replacements "$1")
  wanted="$(requirements "$1") $replacing"
  [[ "$(cat "$environment/requirements" 2>/dev/null)" == "$wanted" ]] && return
  python3 -m venv "$environment"
  # shellcheck disable=SC2046  # several words
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check $(requirements "$1")
  if [[ -n $replacing ]]; then
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$replacing"
  fi
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

# dbt v2 takes its driver from a cache, in which it looks for this file. It is the one of PyPI.
use_driver() {
  local environment=$root/target/dbt/$1
  local folder=$environment/cache/com.getdbt/adbc/x86_64-manylinux_2_17-linux-gnu
  mkdir -p "$folder"
  cp "$environment"/lib/python3*/site-packages/adbc_driver_postgresql/libadbc_driver_postgresql.so \
    "$folder/libadbc_driver_postgresql-0.21.0+dbt0.21.0.so"
  export XDG_CACHE_HOME=$environment/cache DBT_ALLOW_EXPERIMENTAL_ADAPTERS=true
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
  if [[ $2 == 2.* ]]; then use_driver "$2"; fi
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

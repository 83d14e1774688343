#!/usr/bin/env bash
# Builds the dbt adapter of adapter/ and tries it.
#   scripts/adapter.sh build                      wheel and sdist, in target/adapter/dist
#   scripts/adapter.sh try                        the wheel in an empty environment: dbt init, debug and build
#   scripts/adapter.sh action                     what the Action installs for a profile of the type pgtrickle
#   scripts/adapter.sh lint                       ruff and mypy
#   scripts/adapter.sh test VERSION [ARGUMENT …]  the tests on this dbt, 1.8 or 1.12; the arguments go to pytest
# The tests run on an ephemeral server with the emulator, or with what PGTRICKLE_CI_ENGINE says; with
# PGTRICKLE_CI_TEST_DSN on the server that it names, whose role may create databases and roles.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

export DBT_SEND_ANONYMOUS_USAGE_STATS=false
out=$root/target/adapter
newest=1.12

# The parser for v2 that 1.12 asks for is used only on request; this is its last wheel.
dbt_newest="dbt-core==1.12.0 dbt-core-experimental-parser==2.0.0a4 dbt-postgres==1.11.0"

requirements() {
  local testing="pytest==9.2.0 pytest-xdist==3.8.0"
  case $1 in
    1.8) echo dbt-core==1.8.10 dbt-postgres==1.8.2 dbt-tests-adapter==1.8.0 "$testing" ;;
    1.12) echo "$dbt_newest" dbt-tests-adapter==1.20.0 "$testing" ;;
    *) lacks "the adapter is tested on dbt 1.8 and 1.12, and not on $1" ;;
  esac
}

# A Python environment with these packages.
environment() {
  local folder=$1 wanted=$2
  if [[ "$(cat "$folder/requirements" 2>/dev/null)" != "$wanted" ]]; then
    python3 -m venv "$folder"
    # shellcheck disable=SC2086  # several words
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check $wanted
    echo "$wanted" >"$folder/requirements"
  fi
}

# An environment of its own for each version, with the wheel in it.
enter() {
  environment=$out/$1
  environment "$environment" "$(requirements "$1")"
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall "$out"/dist/*.whl
}

build() {
  local version package
  environment "$out/tools" "build==1.6.1 mypy==2.4.1 ruff==0.17.5"
  # From a copy, so that the wheel, which is built from the sdist, cannot reach back into the checkout.
  rm -rf "$out/dist" "$out/source"
  mkdir -p "$out/source"
  cp -R "$root/adapter" "$root/macros" "$root/dbt_project.yml" "$root/LICENSE" "$out/source"
  "$out/tools/bin/python" -m build --outdir "$out/dist" "$out/source/adapter" >"$out/build.log" 2>&1 \
    || { cat "$out/build.log"; return 1; }
  version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
  [[ -f $out/dist/dbt_pgtrickle-$version-py3-none-any.whl && -f $out/dist/dbt_pgtrickle-$version.tar.gz ]] \
    || lacks "the adapter has another version than Cargo.toml ($version): $(cd "$out/dist" && echo -- *)"
  rm -rf "$out/unpacked"
  python3 -m zipfile -e "$out"/dist/*.whl "$out/unpacked"
  package=$out/unpacked/dbt/include/pgtrickle/package
  diff -r "$root/macros" "$package/macros" && diff "$root/dbt_project.yml" "$package/dbt_project.yml"
  echo "built $(cd "$out/dist" && echo *)"
}

# On a server: the one that is named, or an ephemeral one.
on_server() {
  if [[ -n "${PGTRICKLE_CI_TEST_DSN:-}" ]]; then
    python3 "$root/scripts/on_named_server.py" "$@"
  else
    pgtrickle-ci ephemeral --engine "${PGTRICKLE_CI_ENGINE:-emulator}" -- "$@"
  fi
}

lint() {
  enter "$newest"
  (cd adapter && "$out/tools/bin/ruff" check --no-cache . && "$out/tools/bin/ruff" format --no-cache --check .)
  (cd adapter && "$out/tools/bin/mypy" --cache-dir "$out/mypy" --python-executable "$environment/bin/python")
}

run_tests() {
  local version=$1
  shift
  enter "$version"
  (cd adapter && on_server "$environment/bin/python" -m pytest -q -n 2 -p no:cacheprovider --show-capture=no --tb=short "$@")
}

# With nothing but `pip install dbt-pgtrickle`: outside the checkout, which dbt would take for a project.
try() {
  tried=$(mktemp -d)
  trap 'rm -rf "$tried"' EXIT
  python3 -m venv "$tried/environment"
  # shellcheck disable=SC2086  # several words
  "$tried/environment/bin/python" -m pip install --quiet --disable-pip-version-check "$out"/dist/*.whl $dbt_newest
  cd "$tried"
  on_server bash -euo pipefail -c "$(declare -f try_inside); try_inside"
  cd "$root"
}

try_inside() {
  export PATH=$PWD/environment/bin:$PATH DBT_PROFILES_DIR=$PWD
  unset VIRTUAL_ENV
  local number
  number=$(python -c 'from dbt.version import _get_adapter_plugin_names as names; print(list(names()).index("pgtrickle") + 1)')
  printf '%s\n' "$number" "$PGHOST" "$PGPORT" "$PGUSER" "${PGPASSWORD:-none}" "$PGDATABASE" tried 4 | dbt init shop
  grep -q 'type: pgtrickle' profiles.yml
  cd shop
  rm -r models/example
  printf 'id,customer,amount\n1,anna,10\n2,ben,20\n3,anna,30\n' >seeds/orders.csv
  printf '%s\n' "{{ config(materialized='stream_table', meta={'pgtrickle': {'schedule': '1h'}}) }}" \
    "select customer, sum(amount) as total from {{ ref('orders') }} group by customer" >models/totals.sql
  printf 'models:\n  - name: totals\n    tests: [pgtrickle_not_stale, pgtrickle_no_errors]\n' >models/totals.yml
  dbt debug | tee ../debug.log
  grep -q 'pg_trickle version: ' ../debug.log
  dbt build
  dbt run | tee ../run.log
  grep -q UNCHANGED ../run.log
  pgtrickle-ci plan --exit-code --database-url "$DATABASE_URL"
  dbt run-operation drop_all_stream_tables
  echo "tried: dbt init, debug and build, and pgtrickle-ci plan"
}

action() {
  rm -rf "$out/action"
  mkdir -p "$out/action/project"
  touch "$out/action/project/dbt_project.yml"
  echo 'shop: {target: dev, outputs: {dev: {type: pgtrickle, host: db}}}' >"$out/action/project/profiles.yml"
  RUNNER_TEMP=$out/action WORKING_DIRECTORY=$out/action MODE=plan INPUT_PROJECT_DIR=project INPUT_PROFILES_DIR='' \
    INPUT_DBT_VERSION=1.11.16 INPUT_ENGINE=auto INPUT_DATABASE_URL='' action/steps.sh environment
  "$out/action/pgtrickle-ci/python/bin/dbt" --version | tee "$out/action/versions"
  grep -q 'pgtrickle: ' "$out/action/versions"
}

case "${1:-}" in
  build) build ;;
  try) build && try ;;
  action) action ;;
  lint) build && lint ;;
  test)
    build
    shift
    run_tests "$@"
    ;;
  *) lacks "name a part: scripts/adapter.sh build, try, action, lint or test VERSION" ;;
esac

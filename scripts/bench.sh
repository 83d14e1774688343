#!/usr/bin/env bash
# How long things take; medians, with their aims beside them. Nothing fails for being slow. Arguments are the sections to
# measure (all of them without): server manifests plan deployed emulator waiting checks equality shards run comment verify findings.
# plan, deployed, waiting, checks, equality, shards and findings make databases on the server that PGTRICKLE_CI_TEST_DSN names, and drop them.
# PGTRICKLE_CI_BENCH_DBT gives the program a dbt of scripts/dbt_versions.sh, as 2.0; the commands that it replaces are still
# run by that of .venv.
# PGTRICKLE_CI_BENCH_BINARY names a program to measure instead of a release build; `walk_json` has to lie in the folder
# `examples` beside it.
set -euo pipefail
sections=(server manifests plan deployed emulator waiting checks equality shards run comment verify findings)
(($# > 0)) || set -- "${sections[@]}"
for section; do
  if [[ " ${sections[*]} " != *" $section "* ]]; then
    echo "error: there is no section \`$section\`; there are: ${sections[*]}" >&2
    exit 2
  fi
done
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

binary=${PGTRICKLE_CI_BENCH_BINARY:-}
if [[ -z "$binary" ]]; then
  echo "building the release"
  cargo build --release --locked --quiet --bin pgtrickle-ci --example walk_json
  binary=target/release/pgtrickle-ci
fi
BENCHED=$(cd "$(dirname "$binary")" && pwd)/$(basename "$binary")
export BENCHED DBT_SEND_ANONYMOUS_USAGE_STATS=false

export STEPS_PATH=$PATH
if [[ -n ${PGTRICKLE_CI_BENCH_DBT:-} ]]; then
  # shellcheck source=scripts/dbt_versions.sh
  source scripts/dbt_versions.sh
  install "$PGTRICKLE_CI_BENCH_DBT"
  use_dbt "$PGTRICKLE_CI_BENCH_DBT"
fi

emulator=("$BENCHED" ephemeral --engine emulator --)
beside=("${emulator[@]}")
[[ -z "${PGTRICKLE_CI_TEST_DSN:-}" ]] || beside=(python scripts/on_named_server.py)

for section; do
  project=target/bench/project
  rm -rf target/bench
  mkdir -p target/bench
  cp -R integration_tests "$project"
  rm -rf "$project/target" "$project/logs" "$project/dbt_packages" "$project/package-lock.yml"
  printf 'packages:\n  - local: %s\n' "$root" >"$project/packages.yml"
  case $section in
    plan | deployed | waiting | checks | equality | shards | findings) "${beside[@]}" python scripts/bench "$section" ;;
    emulator) "${emulator[@]}" python scripts/bench "$section" ;;
    *) python scripts/bench "$section" ;;
  esac
done

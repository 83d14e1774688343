#!/usr/bin/env bash
# The dbt versions that the package is tried on, each in an environment of its own below target/dbt/. Source it after
# setup.sh.
# shellcheck disable=SC2154  # root is that of setup.sh

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

# Puts it on the PATH. dbt v2 takes its driver from a cache, in which it looks for this file. It is the one of PyPI.
use_dbt() {
  local environment=$root/target/dbt/$1
  export PATH=$environment/bin:$PATH
  [[ $1 == 2.* ]] || return 0
  local folder=$environment/cache/com.getdbt/adbc/x86_64-manylinux_2_17-linux-gnu
  mkdir -p "$folder"
  cp "$environment"/lib/python3*/site-packages/adbc_driver_postgresql/libadbc_driver_postgresql.so \
    "$folder/libadbc_driver_postgresql-0.21.0+dbt0.21.0.so"
  export XDG_CACHE_HOME=$environment/cache DBT_ALLOW_EXPERIMENTAL_ADAPTERS=true
}

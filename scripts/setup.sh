#!/usr/bin/env bash
# Makes what the other scripts need, below the checkout: .venv (dbt and a PostgreSQL 18) and the built binary.
# What is there already is left alone. Source it: it also puts both on the PATH.
# shellcheck disable=SC2317  # it may be sourced

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
root=$PWD

lacks() {
  echo "error: $1" >&2
  exit 2
}

command -v cargo >/dev/null || lacks "a Rust toolchain is missing: there is no cargo on the PATH"
command -v cc >/dev/null || lacks "a C compiler is missing: there is no cc on the PATH"
python=$(command -v python3) || lacks "Python is missing: there is no python3 on the PATH"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || lacks "Python 3.10 or newer is missing: python3 is $("$python" --version)"

# The copy of the requirements in the environment says what was installed; a broken start leaves none.
if ! cmp -s scripts/requirements.txt .venv/requirements.txt; then
  echo "installing dbt and PostgreSQL 18 into .venv"
  "$python" -m venv .venv || lacks "Python's venv is missing: install python3-venv"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement scripts/requirements.txt \
    || lacks "the packages of scripts/requirements.txt cannot be installed"
  cp scripts/requirements.txt .venv/requirements.txt
fi

echo "building pgtrickle-ci"
cargo build --locked --quiet || lacks "pgtrickle-ci does not build"

export VIRTUAL_ENV=$root/.venv
export PATH=$root/target/debug:$VIRTUAL_ENV/bin:$PATH

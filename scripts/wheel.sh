#!/usr/bin/env bash
# Builds the wheel of the program for this machine, and tries it with nothing but pip: in an empty
# environment, without the checkout and without a compiler.
#   scripts/wheel.sh [TARGET]     as x86_64-unknown-linux-musl, which is the default on Linux; wheels go to target/wheels/
# The static program needs no C library, so that one build gives the wheels for glibc and for musl.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
wheels=$root/target/wheels
case "$(uname -s)" in
  Linux)
    target=${1:-$(uname -m)-unknown-linux-musl}
    compatibility=(manylinux2014 musllinux_1_1)
    export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
    ;;
  *)
    target=${1:-$(rustc -vV | sed -n 's/^host: //p')}
    compatibility=(pypi)
    ;;
esac

tools=$root/target/wheel-tools
if ! [[ -x $tools/bin/maturin ]]; then
  python3 -m venv "$tools"
  "$tools/bin/python" -m pip install --quiet --disable-pip-version-check maturin==1.16.0
fi
rm -rf "$wheels"
for tag in "${compatibility[@]}"; do
  "$tools/bin/maturin" build --locked --target "$target" --compatibility "$tag" --out "$wheels"
done

tried=$(mktemp -d)
trap 'rm -rf "$tried"' EXIT
python3 -m venv "$tried/environment"
wheel=$(find "$wheels" -name '*manylinux*' -o -name '*macosx*' | head -n 1)
"$tried/environment/bin/python" -m pip install --quiet --disable-pip-version-check "pgtrickle-ci[server] @ file://$wheel" \
  dbt-core==1.11.16 dbt-postgres==1.11.0
cp -R integration_tests "$tried/project"
rm -rf "$tried/project/"{target,logs,dbt_packages,package-lock.yml,coverage}
mkdir "$tried/package"
cp -R macros dbt_project.yml "$tried/package/"
printf 'packages:\n  - local: %s\n' "$tried/package" >"$tried/project/packages.yml"
cd "$tried/project"
# Only what a bare machine has, with a HOME of its own: no cargo, no checkout.
bare() {
  env -i HOME="$tried" PATH="$tried/environment/bin:/usr/bin:/bin" DBT_SEND_ANONYMOUS_USAGE_STATS=false "$@"
}
bare pgtrickle-ci --version
bare pgtrickle-ci run --engine emulator --budget 3s
echo "wheels: $(cd "$wheels" && echo *)"

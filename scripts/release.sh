#!/usr/bin/env bash
# Builds the program as it is released, and holds it to what a release promises: one file that needs nothing, is small and
# starts at once.
#   scripts/release.sh TARGET      as x86_64-unknown-linux-musl; the archive is written to target/release-archives/
# A glibc target is linked statically, too; such an archive is no release, but shows the same on a machine without musl.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${1:?"give a target, as x86_64-unknown-linux-musl"}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
archives=$PWD/target/release-archives
program=target/$target/dist/pgtrickle-ci

RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" cargo build --profile dist --locked --bin pgtrickle-ci --target "$target"

fail() {
  echo "error: $1" >&2
  exit 1
}

linked=$(ldd "$program" 2>&1 || true)
[[ $linked == *"statically linked"* || $linked == *"not a dynamic executable"* ]] || fail "it is not static: $linked"
size=$(stat --format %s "$program")
((size < 10 * 1000 * 1000)) || fail "it has $size bytes, 10 MB are the most"
[[ $("$program" --version) == "pgtrickle-ci $version" ]] || fail "it does not say its version"
fastest=$(for _ in $(seq 20); do
  before=$(date +%s%N)
  "$program" --version >/dev/null
  echo $((($(date +%s%N) - before) / 1000))
done | sort -n | head -n 1)
# The shell's own time for starting a program is in it.
((fastest < 10 * 1000)) || fail "--version takes $fastest µs, 10 ms are the most"

mkdir -p "$archives"
archive=$archives/pgtrickle-ci-$version-$target.tar.gz
# The same program makes the same archive, whenever and wherever it is packed.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$(dirname "$program")" -cf - pgtrickle-ci | gzip -9n >"$archive"
echo "$archive: the program is static, has $size bytes, and says its version in $fastest µs"

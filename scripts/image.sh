#!/usr/bin/env bash
# Builds the container image of docker/Dockerfile from the wheels of scripts/wheel.sh, and tries it.
#   scripts/image.sh TAG [WHEELS]     as pgtrickle-ci:0.1.0; the wheels are in target/wheels/ without the second argument
# With PUSH=1 it pushes the image, too.
set -euo pipefail
cd "$(dirname "$0")/.."

tag=${1:?the tag of the image is missing}
wheels=${2:-target/wheels}
compgen -G "$wheels/pgtrickle_ci-*.whl" >/dev/null || {
  echo "error: there is no wheel in $wheels: run scripts/wheel.sh" >&2
  exit 2
}

# docker gets the wheels and nothing else of the checkout.
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
mkdir "$context/wheels"
cp "$wheels"/pgtrickle_ci-*.whl "$context/wheels/"
docker build --tag "$tag" --file docker/Dockerfile "$context"

docker run --rm "$tag" pgtrickle-ci --version
# It starts its own server as root, as a job does.
docker run --rm "$tag" pgtrickle-ci ephemeral --engine emulator -- true
if [[ ${PUSH:-} == 1 ]]; then
  docker push "$tag"
fi

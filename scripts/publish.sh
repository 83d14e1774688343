#!/usr/bin/env bash
# Makes a release of the archives in a folder: a commit that adds their SHA-256 sums and the digest of its image to the
# Action, its tag, the tag of its major version, and the release. The workflow release.yml runs it; sums and digest stand
# in released commits alone.
#   scripts/publish.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:?"give the folder with the archives"}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
tag=v$version
sums=action/releases.sha256

if git rev-parse --quiet --verify "refs/tags/$tag" >/dev/null; then
  echo "error: $tag is released already: raise the version in Cargo.toml" >&2
  exit 1
fi
# Earlier releases may be asked for by their version: the last one knows their sums.
last=$(git tag --list 'v*.*.*' --sort=-version:refname | head -n 1)
if [[ -n $last ]]; then
  git show "$last:$sums" >"$sums"
fi
(cd "$folder" && sha256sum pgtrickle-ci-"$version"-*.tar.gz) | tee -a "$sums" >"$folder/SHA256SUMS"

image=$(sed -n '/^  image:$/,/^    default:/s/^    default: "\(.*\)"$/\1/p' action.yml)
digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
if ! [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]]; then
  echo "error: $image has no digest: $digest" >&2
  exit 1
fi
sed "s#\"$image\"#\"$image@$digest\"#" action.yml >"$folder/action.yml"
mv "$folder/action.yml" action.yml

git add --force "$sums" action.yml
git -c user.name=github-actions -c user.email=41898282+github-actions[bot]@users.noreply.github.com \
  commit --quiet --message "chore: release $version"
git tag "$tag"
git tag --force "${tag%%.*}"
git push --quiet origin "$tag"
git push --quiet --force origin "${tag%%.*}"
gh release create "$tag" --verify-tag --title "$version" --notes "See CHANGELOG.md." \
  "$folder"/pgtrickle-ci-"$version"-*.tar.gz "$folder/SHA256SUMS"

#!/usr/bin/env bash
# What is asked of GitHub, held against its own published description: a server answers from it, and refuses every
# request that the description does not have. It needs npm.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

tools=$root/target/github
port=${PGTRICKLE_CI_TEST_GITHUB_PORT:-4018}
mkdir -p "$tools"
if ! [[ -x $tools/node_modules/.bin/prism ]]; then
  echo "installing a server for GitHub's description"
  npm install --silent --no-audit --no-fund --prefix "$tools" @stoplight/prism-cli@5.16.0
fi
if ! [[ -f $tools/package/generated/api.github.com.json ]]; then
  # Of the package, which has the description of every release of GitHub, only one file is kept.
  (cd "$tools" && npm pack --silent @octokit/openapi@23.0.2 && tar -xzf octokit-openapi-*.tgz package/generated/api.github.com.json && rm octokit-openapi-*.tgz)
fi
node scripts/openapi.cjs "$tools/package/generated/api.github.com.json" "$tools/github.json"

node "$tools/node_modules/@stoplight/prism-cli/dist/index.js" mock --errors --port "$port" "$tools/github.json" >"$tools/server.log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
for _ in $(seq 300); do
  curl --silent --output /dev/null "http://127.0.0.1:$port/user" && break
  kill -0 "$server" 2>/dev/null || break
  sleep 0.1
done

export PGTRICKLE_CI_TEST_GITHUB=http://127.0.0.1:$port
if ! cargo test --locked --test it -- --ignored openapi::; then
  echo "the server's log is $tools/server.log" >&2
  exit 1
fi

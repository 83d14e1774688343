#!/usr/bin/env bash
# Makes docs/comment.png: the comment that docs/action.md shows, as a browser shows it. It needs npm, Chromium and a font with emoji.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/target/picture
mkdir -p "$tools"
if ! [[ -d $tools/node_modules/mermaid ]]; then
  npm install --silent --no-audit --no-fund --prefix "$tools" marked@18.2.1 github-markdown-css@5.9.0 mermaid@11.17.2
fi
node scripts/picture.mjs "$tools" "$tools/comment.html"
chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
  --disable-component-update --disable-sync --user-data-dir="$(mktemp -d)" --hide-scrollbars --allow-file-access-from-files \
  --virtual-time-budget=20000 --window-size="${PICTURE_SIZE:-900,1310}" --screenshot="$PWD/docs/comment.png" \
  "file://$tools/comment.html"

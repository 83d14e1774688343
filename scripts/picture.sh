#!/usr/bin/env bash
# Makes docs/comment.png, the comment that docs/action.md shows, and docs/report.png, the HTML report of the same run, as a
# browser shows them. It needs npm, Chromium and a font with emoji. scripts/docs.sh makes the run.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/target/picture
mkdir -p "$tools"
if ! [[ -d $tools/node_modules/mermaid ]]; then
  npm install --silent --no-audit --no-fund --prefix "$tools" marked@18.2.1 github-markdown-css@5.9.0 mermaid@11.17.2
fi

# picture PAGE SIZE NAME
picture() {
  chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --user-data-dir="$(mktemp -d)" --hide-scrollbars --allow-file-access-from-files \
    --virtual-time-budget=20000 --window-size="$2" --screenshot="$PWD/docs/$3" "file://$1"
}

scripts/docs.sh
node scripts/picture.mjs "$tools" "$tools/comment.html"
picture "$tools/comment.html" 900,1310 comment.png
picture "$PWD/target/docs/report.html" 1200,1500 report.png

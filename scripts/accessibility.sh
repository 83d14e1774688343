#!/usr/bin/env bash
# Holds the HTML report to axe-core's rules, in Chromium at three widths, light and dark. It needs npm and Chromium, and the
# report that scripts/docs.sh left in target/docs/.
set -euo pipefail
cd "$(dirname "$0")/.."

report=target/docs/report.html
[[ -f $report ]] || scripts/docs.sh --check
tools=$PWD/target/accessibility
mkdir -p "$tools"
if ! [[ -d $tools/node_modules/axe-core ]]; then
  npm install --silent --no-audit --no-fund --prefix "$tools" axe-core@4.14.1
fi
node scripts/accessibility.mjs "$tools" "$report" "$tools/page.html"

chromium=$(command -v chromium || command -v google-chrome) || {
  echo "error: Chromium is missing: there is no chromium on the PATH" >&2
  exit 2
}
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
for width in 360 800 1400; do
  # Chromium's own numbers for the color schemes that a page may be asked for.
  for scheme in dark:0 light:1; do
    echo -n "$width pixels, ${scheme%:*}: "
    "$chromium" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
      --disable-component-update --disable-sync --user-data-dir="$profile" --virtual-time-budget=20000 \
      --window-size="$width,900" --blink-settings=preferredColorScheme="${scheme#*:}" --dump-dom "file://$tools/page.html" \
      2>"$tools/chromium.log" | node scripts/accessibility.mjs
  done
done

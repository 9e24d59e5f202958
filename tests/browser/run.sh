#!/usr/bin/env bash
# What needs a browser. Without one, says what it skips and ends well: `make test` never comes here.
# CHROMIUM: the browser to use, where it is not found by itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
skip() { echo "skipped: the looks of the book (tests/browser/book.mjs): $1"; exit 0; }
for tool in node npm; do command -v "$tool" > /dev/null || skip "no $tool"; done
CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[ -n "$CHROMIUM" ] || skip "no Chromium; name one as CHROMIUM=path"
export CHROMIUM
tools=_docs/browser
if [ ! -e "$tools/node_modules/playwright-core" ]; then
  mkdir -p "$tools" && echo '{"private": true}' > "$tools/package.json"
  npm install --silent --no-fund --no-audit --prefix "$tools" playwright-core@1.65.1 || skip "playwright-core is not to be had"
fi
(cd "$tools" && node ../../tests/browser/book.mjs ../html ../shots "$@")
if [ -d _docs/slides/html ]; then
  (cd "$tools" && node ../../tests/browser/slides.mjs ../slides/html ../shots/slides)
else
  echo "skipped: the slides (tests/browser/slides.mjs): none are built; make slides builds them"
fi
echo "Screenshots are in _docs/shots/."

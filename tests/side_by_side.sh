#!/usr/bin/env bash
# Runs pytest twice at the same time, since tests mostly wait for what is said in real time: those with browsers and a
# homeserver are shown as they go, the others after them. Arguments are for both.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
apart=(tests/e2e tests/demo)

report=$(mktemp)
# A process group of its own: it hears an interruption, which a plain background job would not.
set -m
.venv/bin/pytest "$@" "${apart[@]/#/--ignore=}" >"$report" 2>&1 &
others=$!
set +m
trap 'kill -INT -- "-$others" 2>/dev/null' INT TERM
trap 'rm -f "$report"' EXIT

.venv/bin/pytest "$@" "${apart[@]}"
failed=$?
echo "==> The other tests, which ran beside these"
tail -n +1 -f --pid="$others" "$report"
wait "$others" || failed=$?
exit "$failed"

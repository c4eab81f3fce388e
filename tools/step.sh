#!/bin/sh
# One step of the setup: sh tools/step.sh "What is done (how long)" command...
# Says what, and how long it took. What the command prints is shown if it fails, all of it, and not otherwise.
set -u
said=$1
shift
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
trap 'echo; exit 130' INT
trap 'exit 143' TERM
began=$(date +%s)
printf '%s ... ' "$said"
if "$@" >"$log" 2>&1 </dev/null; then
    echo "$(($(date +%s) - began)) s"
else
    status=$?
    printf 'failed:\n'
    cat "$log" >&2
    exit "$status"
fi

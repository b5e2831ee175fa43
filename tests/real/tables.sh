#!/usr/bin/env bash
# The tables of a simulated recording, read by Python's csv and json: what a scripter's tools make of our output.
# Needs $STIMKIT (the command) and python3 (standard library only).
set -euo pipefail
stimkit=${STIMKIT:?the path of the stimkit command}
command -v python3 >/dev/null || { echo "no python3"; exit 77; }
[ -n "$("$stimkit" recipe tep 2>/dev/null)" ] || { echo "this build has no recipes to run"; exit 77; }

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$stimkit" simulate tms -o "$dir/demo.vhdr" -q
"$stimkit" tep "$dir/demo.vhdr" -o "$dir/out" -q
python3 "$(dirname "$0")/tables.py" "$dir/out" demo

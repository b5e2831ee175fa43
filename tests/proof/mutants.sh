#!/usr/bin/env bash
# Do the laws' tests bite? Breaks each law by one small change to a copy of the tree, and expects its test to fail.
#
#   tests/proof/mutants.sh [PATTERN]     all mutants of mutants.tsv, or those whose line matches PATTERN (grep -E)
#
# mutants.tsv: law, file, sed expression (extended), cargo's target (--lib, --test NAME), full name of the test; tabs between.
# A mutant counts as caught only when its test passes before the change, the changed tree compiles, and the test then fails.
# A mutant that changes nothing is an error: the line it was written for has moved.
#
# What it last printed: "65 mutants: 65 caught, 0 not", in 27 minutes. Do not run it twice at once: they would share
# one target folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$top/target/mutants}

# one small build per mutant: the crate itself is not optimised, what it depends on is
build=(cargo --config profile.dev.opt-level=0 --config profile.dev.debug=0 --config 'profile.dev.package."*".opt-level=2')

(cd "$top" && git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --create --ignore-failed-read) \
    | tar --extract --directory "$copy"
cd "$copy"

# Runs one test by its exact name; the exit code is cargo's, the number of tests that ran goes to $ran.
run_test() {
    local code=0
    "${build[@]}" test --locked --quiet "$@" -- --exact "$name" >"$copy/log" 2>&1 || code=$?
    ran=$(sed -n 's/^running \([0-9]*\) tests\{0,1\}$/\1/p' "$copy/log" | head -n 1)
    return "$code"
}
broken() { printf 'BROKEN    %s: %s\n' "$1" "$2"; sed 's/^/          /' "$copy/log" 2>/dev/null | tail -n 15; failures=$((failures + 1)); }

grep -v -e '^#' -e '^[[:space:]]*$' "$here/mutants.tsv" | grep -E -e "${1:-.}" >"$copy/table" || { echo "no such mutant"; exit 1; }

# without mutants all tests must pass; told first, so that each mutant costs one build
caught=0 failures=0
while IFS=$'\t' read -r -u 3 law _ _ target name; do
    : >"$copy/log"
    # $target is one word or two, so it stays unquoted
    if ! run_test $target; then
        broken "$law" "$name fails without the mutant"
    elif [ "${ran:-0}" != 1 ]; then
        broken "$law" "there is no test $name"
    fi
done 3<"$copy/table"
[ "$failures" = 0 ] || exit 1

while IFS=$'\t' read -r -u 3 law file edit target name; do
    : >"$copy/log"
    label="$law ($file: $edit)"
    cp "$file" "$copy/original"
    sed -E -i "$edit" "$file"
    if cmp -s "$file" "$copy/original"; then
        broken "$label" "the edit changes nothing"
    elif ! "${build[@]}" test --locked --quiet $target --no-run >"$copy/log" 2>&1; then
        broken "$label" "the mutant does not compile"
    elif run_test $target; then
        printf 'SURVIVED  %s\n          %s does not see it\n' "$label" "$name"
        failures=$((failures + 1))
    else
        printf 'caught    %s\n          by %s\n' "$label" "$name"
        caught=$((caught + 1))
    fi
    # a new time stamp, so that the next build sees the change back
    cat "$copy/original" >"$file"
done 3<"$copy/table"

printf '%s mutants: %s caught, %s not\n' "$((caught + failures))" "$caught" "$failures"
[ "$failures" = 0 ]

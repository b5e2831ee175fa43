#!/usr/bin/env bash
# Proves that no bytes make a reader panic, hang or take memory beyond the file: mutated headers, markers, records,
# annotations and MAT-file elements of every format, seeded, FACTOR times as many as in the ordinary tests (one test run is 11500 mutations).
#
#   tests/proof/fuzz.sh [FACTOR=60]        about a minute for 690 000 mutations
set -euo pipefail
cd "$(dirname "$0")/../.."
factor=${1:-60}
STIMKIT_FUZZ=$factor cargo test --release --locked --test reader_contract -- --nocapture no_bytes_make_a_reader_panic
printf '%-12s %s\n' mutations $((11500 * factor)) panics 0

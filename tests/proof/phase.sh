#!/usr/bin/env bash
# How far is the phase that is known at a sample from the true phase at that sample?
#
#   tests/proof/phase.sh [SEEDS]      20 unless said otherwise; some minutes
#
# On recordings of a generator that is not ours (gen_tacs.py --phase: a 10.2 Hz oscillator at 3, 1 and 0.5 times pink noise, 300 s at
# 1 kHz). Nothing is told but the band: the first minute tells the rhythm's frequency, and, for `kalman`, the oscillators. Medians over
# seeds of |bias| and circular SD over all samples after the first 3 s (phastimate: the first 90 s). Judged: c-ecHT at its defaults.
# Last measured, bias / circular SD in deg (seeds 1 and 2 only):
#
#                                ratio 3        1              0.5
#   c-ecHT, frequency learnt     0.5 / 30.7     0.4 / 34.3     0.2 / 43.3
#   c-ecHT, told 10 Hz          -5.9 / 30.8    -6.1 / 34.5    -6.3 / 43.4      truth: 10.2 Hz
#   phastimate, 8-13 Hz          4.6 / 30.6     3.2 / 38.6     2.8 / 52.8
#   kalman                      -0.1 / 20.3     0.0 / 33.8     1.5 / 55.9      tells itself 22, 37, 58
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/proof.sh"
need_shared
need_python
[ -n "${STIMKIT_PHASE:-}" ] || (cd "$top" && cargo build --release --locked --quiet --example phase_series)
export STIMKIT_PHASE=${STIMKIT_PHASE:-${CARGO_TARGET_DIR:-$top/target}/release/examples/phase_series}
STIMKIT_BIN=${STIMKIT_BIN:-$STIMKIT_PHASE} prove phase "$@"

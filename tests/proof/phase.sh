#!/usr/bin/env bash
# How far is the phase that is known at a sample from the true phase at that sample?
#
#   tests/proof/phase.sh [SEEDS]      20 unless said otherwise; half an hour
#
# On recordings of a generator that is not ours (gen_tacs.py --phase: a 10.2 Hz oscillator at 3, 1 and 0.5 times pink noise, 300 s at
# 1 kHz). Nothing is told but the band: the first minute tells the rhythm's frequency, and, for `kalman`, the oscillators. Medians over
# seeds of bias and circular SD over all samples after the first 3 s (phastimate: the first 90 s). Judged: c-ecHT at its defaults,
# |bias| at most 2 deg, circular SD at most 32, 36 and 45 deg; and that `stimkit run phase` on the file has its triggers (at every peak)
# at the same samples, with the same bits of phase and amplitude, as a tracker that takes one sample after the other.
# Last measured over 20 seeds, bias / circular SD in deg:
#
#                                ratio 3        1              0.5
#   c-ecHT, frequency learnt     0.6 / 30.6     0.7 / 34.2     0.8 / 42.7
#   c-ecHT, told 10.2 Hz         0.5 / 30.6     0.6 / 34.2     0.8 / 42.7      the truth
#   c-ecHT, told 10 Hz          -6.0 / 30.7    -6.0 / 34.3    -5.7 / 42.8
#   phastimate, 8-13 Hz          4.2 / 30.5     2.6 / 37.8     2.2 / 51.9
#   kalman                       0.1 / 20.2     0.2 / 32.3     1.3 / 52.6      tells itself 22, 36, 56
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/proof.sh"
need_shared
need_python
[ -n "${STIMKIT_PHASE:-}" ] || (cd "$top" && cargo build --release --locked --quiet --example phase_series)
export STIMKIT_PHASE=${STIMKIT_PHASE:-${CARGO_TARGET_DIR:-$top/target}/release/examples/phase_series}
prove phase "$@"

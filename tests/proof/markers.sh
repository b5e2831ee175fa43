#!/usr/bin/env bash
# How fast are power and connectivity, in how much memory, and how do they grow?
#
#   tests/proof/markers.sh [scaling]      on a machine with nothing else to do; `scaling`: the second table. ROUNDS=2: fewer rounds than 5
#
# 1. 64 channels, 5 kHz, 600 s, resampled to 500 Hz. Whole processes, 5 rounds in turn, one marker each: Welch (4 s, Hamming, 50 %), six measures
#    of connectivity (all pairs, multitaper NW 2, five bands), orthogonalised envelope correlation (8-13 Hz), Morlet power and phase locking
#    (4-45 Hz in 1 Hz steps, 3.5 cycles, every 10 ms) beside the same part of the peer's script with 1 and 2 jobs. The marker itself:
#    both sides minus their own run without a marker. Bounds: connectivity and envelopes 15 times faster, Morlet 12; at most 150 MB.
# 2. `scaling`: 32 to 256 channels and 10 to 60 minutes, and the constants of the formulas in the README.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/proof.sh"
need_shared
need_python
prove markers "$@"

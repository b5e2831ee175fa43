#!/usr/bin/env bash
# How well is a tACS artefact taken out, by which method, and how fast?
#
#   tests/proof/tacs.sh [speed]      SEEDS=5: fewer seeds than 20; ROUNDS=2: fewer rounds than 5
#
# 1. 120 s at 1 kHz, 10.5 uV of EEG under 10 mV at 10.00012 Hz (gen_tacs.py), seeds 1 to 20, every method with its defaults: RMS error
#    against the artefact-free EEG, alpha power (8-13 Hz) over the true one, attenuation. Bounds for the default: median 0.25 uV, worst 0.4,
#    alpha within 1 %. SASS: 32 channels, 60 s without stimulation, also average-referenced: correlation with the truth in 8-12 Hz 0.999.
# 2. `speed`: 64 channels, 5 kHz, 20 minutes (1.5 GB), whole processes in turn: the default method with its quality check and the cleaned
#    recording (--clean-only), against NumPy's lstsq with the same model (frequency told) and PyPARRM (period told, its default filter); then
#    both sides without writing 1.5 GB (we wait for the disk, NumPy does not), and with all tables. Bounds: 10 times, 150 MB.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/proof.sh"
need_shared
need_python
prove tacs "$@"

#!/usr/bin/env bash
# How fast, in how much memory?
#
#   tests/proof/speed.sh              on a machine with nothing else to do
#
# 64 channels, 5 kHz, 600 s. Whole processes, 5 rounds in turn: recipe tep-1hz; the same job in MNE-Python with n_jobs 1 and 2; reading
# and decoding alone (a recipe without stages and markers). Medians, the ratio to the faster of MNE's two within each round.
# Bounds: at most 1.0 s, at least 8 times faster, at most 100 MB, and at most 10 % more for 60 minutes (the recording six times in a row).
# Needs 3 GB of disk in TMPDIR.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/proof.sh"
need_shared
need_python
prove speed

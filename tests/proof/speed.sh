#!/usr/bin/env bash
# How fast, in how much memory?
#
#   tests/proof/speed.sh              on a machine with nothing else to do
#
# 64 channels, 5 kHz, 600 s. Whole processes, 5 rounds in turn: recipe tep-1hz; the same job in MNE-Python with n_jobs 1 and 2; reading
# and decoding alone (a recipe without stages and markers). Medians, the ratio to the faster of MNE's two within each round.
# Bounds: at most 1.0 s, at least 8 times faster, at most 100 MB, and at most 10 % more for 60 minutes (the recording six times in a row).
# Needs 3 GB of disk in TMPDIR.
# About 5 minutes. A busy machine misses the first bound. Last measured on 2 cores with a load of 3 to 6 by others:
#
#                   wall s    cpu s   peak MB
#   tep-1hz          2.18      1.41      74     8.7 times faster (7.9 to 10.1); wall from 1.28
#   MNE, 1 job      17.4      11.3     2167
#   MNE, 2 jobs     30.5      22.8     2459
#   reading alone    1.20      0.80      13     tep-1hz takes 1.8 times its wall and cpu
#   60 minutes       7.7       7.4       73     -1.5 % memory
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/proof.sh"
need_shared
need_python
prove speed

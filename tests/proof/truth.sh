#!/usr/bin/env bash
# How far is the average from the response that is really there?
#
#   tests/proof/truth.sh [SEEDS]      8 recordings for the second part unless said otherwise
#
# Error: root mean square over 20-300 ms and all channels against the truth, low-passed at 80 Hz like the recipe does it.
# 1. With and without decay and muscle, the default recipe's error is no larger than MNE-Python's job leaves.
# 2. Without them it falls as 1 over root n within 10 %: recordings of 600 s are cut into 8 stretches of 32 pulses, 4 of 64,
#    2 of 128 and 1 of 256, each a file of its own; error x root n, n being the trials kept, must not depend on the size.
#    Pooled over recordings, since one alpha rhythm shared by all channels gives each average few degrees of freedom.
# About 3 minutes, and 5 more to make the recordings. Last measured (uV; 245 of 298 trials kept by tep, all by MNE):
#
#                         tep     tep-1hz   MNE              32 / 64 / 128 / 256 pulses, error x root n
#   decay and muscle      0.763   0.811     0.812   ok
#   neither               0.538   0.633     0.633   ok       9.18 / 9.34 / 9.30 / 9.25   (-0.9 to +0.7 %)   ok
#
# Told, not judged, because it does not hold: with 25 trials (60 s) tep leaves 1.12 to 1.26 times what MNE leaves, and over 8 recordings
# of 600 s 0.75 to 1.17 times, median 0.92. So part 1 holds for this recording and for most long ones, not for each and not for few trials.
# Taken apart (tep with a band-pass 1-80 Hz instead of low-pass and detrend, all else the same; uV, clean in brackets):
#
#                    tep             with 1-80 Hz     MNE
#   60 s, 10 kHz     2.204 (2.090)   1.767 (1.652)    1.775 (1.655)
#   60 s, 25 kHz     2.153 (2.068)   1.913 (1.816)    1.918 (1.822)
#   600 s            0.763 (0.538)   0.702 (0.488)    0.812 (0.633)
#
# It is the line that lets slow noise pass, not the trials that tep drops. No other curve fitted outside of the response does it either:
# polynomials of order 0 to 6 and linear interpolation of the drift (kriging) leave 1.01 to 1.2 times MNE's at best, at 60 s. But where the
# decay is large the high-pass spreads it: 600 s, 32 channels, 1000 uV: 80-300 ms 2.04 uV against the line's 0.63, baseline 2.67 against 0.44
# (300 uV: 0.83 against 0.63, 0.90 against 0.44). A high-pass that does not see -10...60 ms would have both; it is not built.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/proof.sh"
need_shared
need_python
prove truth "$@"

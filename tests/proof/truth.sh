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
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/proof.sh"
need_shared
need_python
prove truth "$@"

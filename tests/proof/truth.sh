#!/usr/bin/env bash
# Do we find every pulse, and compute what MNE-Python computes?
#
#   tests/proof/truth.sh
#
# On recordings of a generator that is not ours: every pulse is found, by its marker and in the signal; recipe tep-1hz equals the
# same job in MNE-Python within 0.005 uV RMS outside +-25 ms, in every channel and in the GMFA, at three settings of the band.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/proof.sh"
need_shared
need_python
prove truth "$@"

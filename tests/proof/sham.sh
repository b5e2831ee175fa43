#!/usr/bin/env bash
# Does a peak in a recording without a response look like one?
#
#   tests/proof/sham.sh [RECORDINGS]      200 unless said otherwise; about 3 minutes
#
# Simulated sham recordings (32 channels, 90 s, about 43 pulses). Where nothing follows a pulse, p_signflip is below 0.05 in 3-7 % of
# components of each kind, while `found` is 1 nearly everywhere: it says that the window holds an extremum, no more.
# The last rows are a warning, not judged: decay and muscle are evoked as well, and no p can tell them from a response.
# Needs neither shared recordings nor MNE, but a Python with NumPy and pandas.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/proof.sh"
need_python
prove sham "$@"

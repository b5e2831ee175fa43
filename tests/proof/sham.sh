#!/usr/bin/env bash
# Does a peak in a recording without a response look like one?
#
#   tests/proof/sham.sh [RECORDINGS]      200 unless said otherwise; about 2 minutes
#
# Simulated sham recordings (32 channels, 90 s, about 43 pulses). Where nothing follows a pulse, p_signflip is below 0.05 in 3-7 % of
# components of each kind, while `found` is 1 in nine of ten: it says that the window holds an extremum, no more.
# The other rows are a warning, not judged: decay and muscle are evoked as well, and no p can tell them from a response.
# Needs neither shared recordings nor MNE, but the same Python as the others.
# All seeds are fixed, so a tree's numbers do not change. Last measured:
#
#                    nothing follows         with artefacts: P30    later
#                    found     p < 0.05      found   p < 0.05       found    p < 0.05
#   gmfa             91.5 %    3.5 %          8.0 %  12.5 %          89.4 %   3.9 %
#   roi              91.2 %    5.4 %         55.0 %  12.7 %          90.1 %   5.7 %
#   channel          88.5 %    4.4 %         65.1 %   6.3 %          89.0 %   4.7 %
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/proof.sh"
need_python
prove sham "$@"

#!/usr/bin/env bash
# Does the quality check of tACS cleaning tell a modulated artefact from the brain?
#
#   tests/proof/roc.sh [--seeds 20] [--method RECIPE]
#
# 200 recordings of a generator that is not ours (60 s without, 120 s with stimulation, 10 mV at 10.00012 Hz; amplitude modulation of 0, 0.01, 0.03, 0.1
# and 0.3 % at 0.25 Hz, half of it at 1.1 Hz; the brain's alpha at 9.6 Hz or exactly at the stimulation's 10 Hz), cleaned, and the column `score` of table
# `tacs` as the detector. Bounds: area under the ROC against no modulation at least 0.9 at 0.03 % and 0.99 at 0.1 %, both alphas pooled in each class;
# at least 95 % of what is clean gets no_residue_found, and all of 0.1 % gets doubtful. Also the area with each alpha by itself, where seeds are few.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/proof.sh"
if [ ! -f "$STIMKIT_SHARED/peers/gen_tacs.py" ]; then
    printf '\nSKIPPED: %s proves nothing: no peers/gen_tacs.py in %s; set STIMKIT_SHARED\n\n' "$(basename "$0")" "$STIMKIT_SHARED" >&2
    exit 77
fi
python=${STIMKIT_PYTHON:-python3}
"$python" -c 'import numpy, scipy, pandas' 2>/dev/null || need_python
prove roc "$@"

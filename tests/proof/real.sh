#!/usr/bin/env bash
# Our numbers beside MNE-Python's, mne-connectivity's and tensorpac's on real recordings, through the whole program: file in, table out.
#
#   tests/proof/real.sh
#
# The EEGLAB sample recording (30 EEG channels), python-meegkit's eight channels, tensorpac's sEEG trials: spectra, time-frequency,
# connectivity, envelope correlation, phase-amplitude coupling. The peers get the samples as their own readers give them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/proof.sh"
need_shared
need_python
prove real

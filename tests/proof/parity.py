"""See parity.sh."""
import io
import numpy as np
import pandas as pd
from proof import Verdict, Work, mne, note, ours, recording, stimkit, truth

BANDS = [(1, 80), (1, 45), (0.5, 100)]
BOUND_UV = 0.005
FOUND_MS = 0.5


def same_pulses(onsets_s, found_s):
    """Missed, invented, and the largest distance of the others in ms."""
    found_s = np.sort(found_s)
    distance = np.abs(found_s[None, :] - onsets_s[:, None]) * 1e3
    near = distance <= FOUND_MS
    missed, extra = int((~near.any(1)).sum()), int((~near.any(0)).sum())
    return missed, extra, distance.min(1)[near.any(1)].max(initial=0)


def pulses(verdict, path):
    true = truth(path)
    onsets = true["onsets"] / float(true["fs"])
    listed = pd.read_csv(io.StringIO(stimkit("events", path, "--detect")))
    counts = dict(zip(listed.event, listed["count"]))
    detail = f"TMS {counts.get('TMS')}, pulse {counts.get('pulse')}"
    verdict.row(path.stem, "events --detect", f"{len(onsets)} pulses", detail, holds=counts == {"TMS": len(onsets), "pulse": len(onsets)})
    for how, flags in (("tep, markers", []), ("tep --detect", ["--detect"])):
        trials = pd.read_csv(io.StringIO(stimkit("tep", path, *flags, "--table", "trials")))
        missed, extra, apart = same_pulses(onsets, trials.onset_s.to_numpy())
        verdict.row(path.stem, how, f"{len(onsets)} pulses", f"{missed} missed, {extra} invented, at most {apart:.2f} ms off", holds=missed == extra == 0)


def difference(verdict, path, band, work):
    label = f"{band[0]}-{band[1]} Hz"
    note(f"{path.stem}: {label}")
    ms, a, gmfa_a, n_a, names_a = ours(path, work / "ours", "tep-1hz", "--set", f"stream[2].band_hz=[{band[0]}, {band[1]}]")
    peer_ms, b, gmfa_b, n_b, names_b = mne(path, work / "mne", band)
    if n_a != n_b or names_a != names_b or not np.allclose(ms, peer_ms):
        verdict.row(path.stem, f"tep-1hz {label}", f"{n_a} trials", f"MNE keeps {n_b}, or other channels or times", holds=False)
        return
    outside = np.abs(ms) > 25
    apart = (a - b)[outside]
    rms = np.sqrt((apart**2).mean(0))
    gmfa = np.sqrt(((gmfa_a - gmfa_b)[outside] ** 2).mean())
    detail = f"RMS {np.sqrt((apart**2).mean()):.5f}, worst channel {rms.max():.5f}, GMFA {gmfa:.5f}; largest {np.abs(apart).max():.4f} uV"
    verdict.row(path.stem, f"tep-1hz {label}", f"{n_a} trials", detail, holds=max(rms.max(), gmfa) <= BOUND_UV)


verdict = Verdict("recording", "what", "of", "result")
for rate, seconds in ((5000, 600), (10000, 60), (25000, 60)):
    path = recording(rate, seconds)
    pulses(verdict, path)
    for band in BANDS:
        with Work() as work:
            difference(verdict, path, band, work)
verdict.end()

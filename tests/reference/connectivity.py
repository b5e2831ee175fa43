"""Spectral connectivity by mne-connectivity, for fixtures/golden/connectivity.json.

    python tests/reference/connectivity.py

At full resolution (no averaging over bands), pairs with the earlier channel first. Signals come from a linear
congruential generator that the Rust tests repeat.
"""
import json
import os
import warnings

import mne
import mne_connectivity
import numpy as np
from mne_connectivity import phase_slope_index, spectral_connectivity_epochs

mne.set_log_level("ERROR")
warnings.simplefilter("ignore")
RATE, N, CHANNELS, EPOCHS = 125.0, 125, 4, 11
METHODS = ["coh", "cohy", "imcoh", "plv", "ciplv", "ppc", "pli", "pli2_unbiased", "dpli", "wpli", "wpli2_debiased"]


def noise(n, seed):
    out, state = np.empty(n), seed
    for i in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        out[i] = state / 2**32 - 0.5
    return out


def epoch(e):
    """Channel c: noise of its own, and a common signal that reaches it c samples later; a large offset."""
    common = noise(N + 8, 1000 + e)
    return np.array([noise(N, 1 + 16 * e + c) + 0.8 * common[8 - c : 8 - c + N] + 100.0 * c for c in range(CHANNELS)])


data = np.array([epoch(e) for e in range(EPOCHS)])
pairs = [(a, b) for a in range(CHANNELS) for b in range(a + 1, CHANNELS)]
indices = tuple(np.array(x) for x in zip(*pairs))
kinds = {
    "multitaper-2": dict(mode="multitaper", mt_bandwidth=2 * 2 * RATE / N),
    "multitaper-4": dict(mode="multitaper", mt_bandwidth=2 * 4 * RATE / N),
    "fourier": dict(mode="fourier"),
    "morlet": dict(mode="cwt_morlet", cwt_freqs=np.arange(6.0, 29.0, 2.0), cwt_n_cycles=3.0),
}
MOMENTS = [50, 55, 60, 65, 70, 75]  # where the longest wavelet lies wholly inside the epoch, every 40 ms from its start
out = {
    "made_by": "tests/reference/connectivity.py",
    "versions": {"mne": mne.__version__, "mne_connectivity": mne_connectivity.__version__, "numpy": np.__version__},
    "rate_hz": RATE, "n": N, "channels": CHANNELS, "epochs": EPOCHS, "pairs": pairs, "kinds": {},
}
for name, how in kinds.items():
    edges = dict(fmin=3.75, fmax=29.25)
    # MNE-Python takes the mean out before tapering, but not before wavelets, whose cut ends let a large offset through
    signals = data - data.mean(axis=-1, keepdims=True) if name == "morlet" else data
    cons = spectral_connectivity_epochs(signals, method=METHODS, indices=indices, sfreq=RATE, **edges, **how)
    case = {"hz": [float(f) for f in cons[0].freqs]}
    for method, con in zip(METHODS, cons):
        values = con.get_data()
        if name == "morlet":
            values = values[:, :, MOMENTS].mean(axis=-1)
        if method == "cohy":
            case["cohy_re"], case["cohy_im"] = values.real.tolist(), values.imag.tolist()
        else:
            case[method] = values.tolist()
    if name != "morlet":
        bands = dict(fmin=(3.75, 12.75), fmax=(12.75, 29.25))
        case["psi"] = phase_slope_index(data, indices=indices, sfreq=RATE, **bands, **how).get_data().tolist()
        sets = (np.array([[0, 1]]), np.array([[2, 3]]))
        for method in ("mic", "mim"):
            con = spectral_connectivity_epochs(data, method=method, indices=sets, sfreq=RATE, **edges, **how)
            case[method] = np.abs(con.get_data())[0].tolist()
    out["kinds"][name] = case

path = os.path.join(os.path.dirname(__file__), "..", "..", "fixtures", "golden", "connectivity.json")
with open(path, "w") as file:
    json.dump(out, file, separators=(",", ":"))
    file.write("\n")

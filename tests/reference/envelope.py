"""Band-passed analytic signals by MNE-Python and SciPy, envelope correlations by mne_connectivity -> fixtures/golden/envelope.json

`analytic`: mne.filter.filter_data (defaults) of an epoch without its mean, scipy.signal.hilbert filled up to mne's next_fast_len.
`correlation`: mne_connectivity.envelope_correlation of complex epochs (made by the formula in `epochs`): raw, pairwise, and
symmetric_orth followed by raw. `marker`: real epochs (the generator in `samples`), 8-13 Hz, everything by MNE.
"""
import json, pathlib
import numpy as np, scipy, mne, mne_connectivity
from mne_connectivity import envelope_correlation, symmetric_orth
from scipy.signal import hilbert

mne.set_log_level("ERROR")

def lcg(n, seed=7):
    """Uniform in [-0.5, 0.5): the generator of the Rust tests."""
    out, s = np.empty(n), seed
    for i in range(n):
        s = (1664525 * s + 1013904223) & 0xFFFFFFFF
        out[i] = s / 4294967296 - 0.5
    return out

def analytic(x, rate, band):
    y = mne.filter.filter_data(x - x.mean(-1, keepdims=True), rate, *band, verbose="ERROR")
    n = x.shape[-1]
    return hilbert(y, N=mne.filter.next_fast_len(n), axis=-1)[..., :n]

cases = []
for n, rate, band, seed in [(500, 250.0, (8, 13), 1), (251, 250.0, (30, 45), 2), (120, 250.0, (8, 13), 3), (97, 128.0, (4, 8), 4)]:
    x = np.round(100 * lcg(n, seed) + 1000, 3)
    z = analytic(x, rate, band)
    cases.append(dict(rate=rate, band_hz=band, x=x.tolist(), re=z.real.tolist(), im=z.imag.tolist()))

def mean_of(conn):
    return conn.combine("mean").get_data("dense")[..., 0].tolist()

def epochs(E, C, n, seed):
    """E x C x n: smoothed noise that neighbours share."""
    x = lcg(E * C * n, seed).reshape(E, C, n)
    for c in range(1, C):
        x[:, c] += 0.5 * x[:, c - 1]
    return x

C, n = 5, 331
u = lcg(3 * 2 * C * n, 21).reshape(3, 2, C, n)
z = u[:, 0] + 1j * u[:, 1] + 0.8 * np.roll(u[:, 1], 1, axis=1)
correlation = dict(epochs=3, channels=C, samples=n, seed=21, raw=mean_of(envelope_correlation(z, orthogonalize=False)), pairwise=mean_of(envelope_correlation(z, orthogonalize="pairwise")),
                   per_epoch=[mean_of(envelope_correlation(z[e:e + 1], orthogonalize="pairwise")) for e in range(3)])

E, C, n, rate, band = 4, 5, 700, 250.0, (8, 13)
x = 10 * epochs(E, C, n, 5)
y = mne.filter.filter_data(x - x.mean(-1, keepdims=True), rate, *band, verbose="ERROR")
marker = dict(epochs=E, channels=C, samples=n, rate=rate, band_hz=band, seed=5, raw=mean_of(envelope_correlation(y, orthogonalize=False)), pairwise=mean_of(envelope_correlation(y, orthogonalize="pairwise")),
              symmetric=mean_of(envelope_correlation(symmetric_orth(y), orthogonalize=False)), symmetric_tight=mean_of(envelope_correlation(symmetric_orth(y, n_iter=2000, tol=1e-15), orthogonalize=False)))
out = dict(made_by="tests/reference/envelope.py", versions=dict(numpy=np.__version__, scipy=scipy.__version__, mne=mne.__version__, mne_connectivity=mne_connectivity.__version__), analytic=cases, correlation=correlation, marker=marker)
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/envelope.json"
path.write_text(json.dumps(out))
print(path.stat().st_size); print(np.round(marker["pairwise"], 4)); print(np.abs(np.array(marker["symmetric"]) - marker["symmetric_tight"]).max())

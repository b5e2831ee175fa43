"""Spherical spline interpolation matrices of MNE-Python (ridge 1e-5, stiffness 4, 50 terms).

Writes fixtures/golden/spline.json: Perrin's g at some angles, and for two electrode sets the weights from good to bad.
"""
import json, pathlib, platform
import mne, numpy as np, scipy
from mne.channels.interpolation import _calc_g, _make_interpolation_matrix

rng = np.random.default_rng(11)
cases = []
for n, bad in ((8, [2]), (32, [0, 7, 19]), (64, [5, 6, 40, 63])):
    places = rng.normal(size=(n, 3))
    places[:, 2] = np.abs(places[:, 2])
    places *= 1 / np.linalg.norm(places, axis=1, keepdims=True) * rng.uniform(0.08, 0.1, (n, 1))
    good = [i for i in range(n) if i not in bad]
    weights = _make_interpolation_matrix(places[good], places[bad])
    cases.append(dict(places=places.tolist(), bad=bad, weights=weights.tolist()))
cosine = np.linspace(-1, 1, 21)
out = {
    "about": "g(cosine) with stiffness 4 and 50 terms; weights: bad rows, good columns, positions not normalised",
    "versions": {"mne": mne.__version__, "numpy": np.__version__, "scipy": scipy.__version__, "python": platform.python_version()},
    "cosine": cosine.tolist(),
    "g": _calc_g(cosine).tolist(),
    "cases": cases,
}
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/spline.json"
path.write_text(json.dumps(out, separators=(",", ":")) + "\n")

"""Directions of MNE-Python's standard_1005 montage, seen from the centre of its best-fitting sphere.

Writes fixtures/golden/montage.json. The montage is a measured head (colin27); ours is a construction on the sphere,
so the two are compared by angle, after the best rotation.
"""
import json, pathlib, platform, warnings
import mne, numpy as np, scipy
from scipy.optimize import least_squares

warnings.simplefilter("ignore")
ch = mne.channels.make_standard_montage("standard_1005").get_positions()["ch_pos"]
names = [n for n in ch if n not in ("A1", "A2", "M1", "M2")]
xyz = np.array([ch[n] for n in names])
fit = least_squares(lambda p: np.linalg.norm(xyz - p[:3], axis=1) - p[3], [0, 0, 0.03, 0.09])
direction = {n: [round(float(v), 6) for v in (ch[n] - fit.x[:3]) / np.linalg.norm(ch[n] - fit.x[:3])] for n in ch}
out = {
    "about": "unit vectors of standard_1005 from the centre of its best-fitting sphere (RAS axes of the montage)",
    "versions": {"mne": mne.__version__, "numpy": np.__version__, "scipy": scipy.__version__, "python": platform.python_version()},
    "sphere_m": [round(float(v), 6) for v in fit.x],
    "direction": direction,
}
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/montage.json"
path.write_text(json.dumps(out, separators=(",", ":")) + "\n")

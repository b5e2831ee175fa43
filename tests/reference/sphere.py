"""Spheres of concentric shells: series coefficients from the boundary conditions, and MNE-Python's forward solution.

Writes fixtures/golden/sphere.json.
"""
import json, pathlib, platform, warnings
import mne, numpy as np

warnings.simplefilter("ignore")
mne.set_log_level("error")
radii = np.array([81.0, 85.0, 88.0]) / 88.0


def gamma(sigma, terms=30):
    """gamma_n from one linear system per degree n.

    Shell j holds A_j r^n + B_j r^-(n+1); the source fixes the B of the innermost shell. Continuity of potential and
    radial current at each inner boundary, no radial current through the last. Scaled so that one shell gives (2n+1)/n.
    """
    out = []
    for n in range(1, terms + 1):
        shells = len(radii)
        unknowns = 2 * shells - 1  # A_1, (A_2, B_2), (A_3, B_3)
        a, b = np.zeros((unknowns, unknowns)), np.zeros(unknowns)
        col = lambda j: slice(2 * j - 1, 2 * j + 1)
        for j in range(shells - 1):
            r, row = radii[j], 2 * j
            # columns are scaled by r^n and r^-(n+1) at the boundary's own radius where possible
            pot = lambda r: np.array([r**n, r ** -(n + 1)])
            cur = lambda r, s: s * np.array([n * r ** (n - 1), -(n + 1) * r ** -(n + 2)])
            if j == 0:
                a[row, 0], b[row] = pot(r)[0], -pot(r)[1]
                a[row + 1, 0], b[row + 1] = cur(r, sigma[0])[0], -cur(r, sigma[0])[1]
            else:
                a[row, col(j)], a[row + 1, col(j)] = pot(r), cur(r, sigma[j])
            a[row, col(j + 1)], a[row + 1, col(j + 1)] = -pot(r), -cur(r, sigma[j + 1])
        a[-1, col(shells - 1)] = [n, -(n + 1)]
        x = np.linalg.solve(a, b)
        # surface potential for a unit source term, relative to sigma_outer / sigma_inner
        out.append(float((x[-2] + x[-1]) * sigma[-1] / sigma[0]))
    return out


def mne_forward():
    rng = np.random.default_rng(7)
    shells = [[r, s, 0.0] for r, s in zip(radii, [0.33, 0.33 / 50, 0.33])]
    electrodes = rng.normal(size=(12, 3))
    electrodes[:, 2] = np.abs(electrodes[:, 2])
    electrodes /= np.linalg.norm(electrodes, axis=1, keepdims=True)
    places = rng.normal(size=(10, 3))
    places *= (rng.uniform(0.2, 0.8, 10) / np.linalg.norm(places, axis=1))[:, None]
    names = [f"E{i}" for i in range(len(electrodes))]
    info = mne.create_info(names, 1000.0, "eeg")
    R = 0.088
    montage = mne.channels.make_dig_montage(dict(zip(names, electrodes * R)), nasion=[0, R, 0], lpa=[-R, 0, 0], rpa=[R, 0, 0], coord_frame="head")
    info.set_montage(montage)
    sphere = mne.make_sphere_model(r0=(0, 0, 0), head_radius=R, relative_radii=radii, sigmas=(0.33, 0.33 / 50, 0.33))
    src = mne.setup_volume_source_space(pos=dict(rr=places * R, nn=np.tile([0, 0, 1.0], (10, 1))), sphere=sphere, sphere_units="m")
    fwd = mne.make_forward_solution(info, trans=None, src=src, bem=sphere, meg=False, eeg=True, mindist=0)
    assert fwd["nsource"] == len(places)
    np.testing.assert_allclose(fwd["source_rr"], places * R, atol=1e-9)
    gain = fwd["sol"]["data"].reshape(len(electrodes), len(places), 3) * R**2
    return dict(shells=shells, electrodes=electrodes.round(12).tolist(), places=places.round(12).tolist(),
                potential=[float(f"{v:.9g}") for v in gain.ravel()])


out = {
    "about": "gamma: one linear system of boundary conditions per degree; mne: forward solution of a three-shell sphere, "
             "electrode-major, then dipole, then axis, in 1/(S/m) per squared outer radius",
    "versions": {"mne": mne.__version__, "numpy": np.__version__, "python": platform.python_version()},
    "gamma_skull_1_100": gamma([0.33, 0.33 / 100, 0.33]),
    "gamma_skull_1_50": gamma([0.33, 0.33 / 50, 0.33]),
    "mne": mne_forward(),
}
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/sphere.json"
path.write_text(json.dumps(out, separators=(",", ":")) + "\n")
print(out["gamma_skull_1_100"][:3], out["gamma_skull_1_50"][29])

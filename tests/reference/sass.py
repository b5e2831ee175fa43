"""SASS by scipy.linalg.eigh: fixtures/golden/sass.json.

    python tests/reference/sass.py

Independent of the crate's route: the generalised problem eigh(A, B) where B has full rank; in a basis of B's range (from its singular
value decomposition) where it has not. The cost is the naive diag(B - P A P'), by mpmath with 60 digits.
"""

import json
from pathlib import Path

import mpmath
import numpy as np
import scipy
from scipy.linalg import eigh, svd

ROOT = Path(__file__).resolve().parents[2]
SEED = 20210101
rng = np.random.default_rng(SEED)
mpmath.mp.dps = 60


def case(channels, sources, artefacts, amplitude, spread, k, reference):
    mix = rng.normal(size=(channels, channels)) * np.logspace(0, -spread, channels)
    quiet = mix @ rng.normal(size=(channels, 400))
    during = mix @ rng.normal(size=(channels, 600))
    top = rng.normal(size=(channels, artefacts))
    during += amplitude * top @ np.sin(np.outer(1 + np.arange(artefacts), 0.37 * np.arange(600)))
    if reference:
        quiet, during = quiet - quiet.mean(0), during - during.mean(0)
    a, b = np.cov(during), np.cov(quiet)
    u, s, _ = svd(b)
    rank = int((s > 1e-10 * s[0]).sum())
    basis = np.eye(channels) if rank == channels else u[:, :rank]
    lam, v = eigh(basis.T @ a @ basis, basis.T @ b @ basis)
    lam, v = lam[::-1], basis @ v[:, ::-1]
    pattern = b @ v
    project = np.eye(channels) - pattern[:, :k] @ v[:, :k].T
    costs = []
    am, bm = mpmath.matrix(a.tolist()), mpmath.matrix(b.tolist())
    for n in range(rank):
        p = mpmath.eye(channels) - mpmath.matrix(pattern[:, :n].tolist()) * mpmath.matrix(v[:, :n].tolist()).T if n else mpmath.eye(channels)
        left = bm - p * am * p.T
        costs.append(float(sum(left[i, i] ** 2 for i in range(channels)) / channels))
    return {"channels": channels, "condition": float(s[0] / s[rank - 1]), "rank": rank, "k": k, "a": a.tolist(), "b": b.tolist(), "ratios": lam.tolist(),
            "projection": project.tolist(), "costs": costs, "cheapest": int(np.argmin(costs))}


cases = [case(6, 6, 2, 100.0, 0.5, 2, False), case(8, 8, 1, 1e4, 1.0, 1, False), case(8, 8, 1, 1e4, 1.0, 1, True), case(10, 10, 2, 1e3, 3.0, 2, False)]
out = {"versions": {"numpy": np.__version__, "scipy": scipy.__version__, "mpmath": mpmath.__version__}, "seed": SEED, "cases": cases}
(ROOT / "fixtures" / "golden" / "sass.json").write_text(json.dumps(out) + "\n")
for c in cases:
    print(c["channels"], "%.1e" % c["condition"], c["rank"], c["cheapest"], ["%.3g" % v for v in c["ratios"][:3]])

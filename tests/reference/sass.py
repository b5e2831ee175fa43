"""SASS by another route than the crate's: fixtures/golden/sass.json.

    python tests/reference/sass.py

Cholesky and the symmetric problem in mpmath with 60 digits where B has full rank (scipy.linalg.eigh(A, B) loses 2e-10 of P at
condition 2.8e7: `scipy_off` says how far it is); scipy.linalg.eigh in a basis of B's range (from its singular value decomposition) where
B has no inverse. The cost is the naive diag(B - P A P') with 60 digits.
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
    am, bm = mpmath.matrix(a.tolist()), mpmath.matrix(b.tolist())
    filters = mpmath.matrix(v.tolist())
    if rank == channels:
        lower = mpmath.cholesky(bm) ** -1
        exact, turned = mpmath.eigsy(lower * am * lower.T)
        filters = lower.T * mpmath.matrix([[turned[i, channels - 1 - j] for j in range(channels)] for i in range(channels)])
        lam = np.array([float(exact[channels - 1 - j]) for j in range(channels)])
    patterns = bm * filters

    def projection(n):
        p = mpmath.eye(channels)
        for j in range(n):
            p -= patterns[:, j] * filters[:, j].T
        return p

    project = np.array([[float(x) for x in row] for row in projection(k).tolist()])
    off = np.abs(np.eye(channels) - b @ v[:, :k] @ v[:, :k].T - project).max() / np.abs(project).max()
    costs = []
    for n in range(rank):
        p = projection(n)
        left = bm - p * am * p.T
        costs.append(float(sum(left[i, i] ** 2 for i in range(channels)) / channels))
    return {"channels": channels, "condition": float(s[0] / s[rank - 1]), "rank": rank, "scipy_off": float(off), "k": k, "a": a.tolist(), "b": b.tolist(), "ratios": lam.tolist(),
            "projection": project.tolist(), "costs": costs, "cheapest": int(np.argmin(costs))}


cases = [case(6, 6, 2, 100.0, 0.5, 2, False), case(8, 8, 1, 1e4, 1.0, 1, False), case(8, 8, 1, 1e4, 1.0, 1, True), case(10, 10, 2, 1e3, 1.5, 2, False)]
out = {"versions": {"numpy": np.__version__, "scipy": scipy.__version__, "mpmath": mpmath.__version__}, "seed": SEED, "cases": cases}
(ROOT / "fixtures" / "golden" / "sass.json").write_text(json.dumps(out) + "\n")
for c in cases:
    print(c["channels"], "%.1e" % c["scipy_off"], "%.1e" % c["condition"], c["rank"], c["cheapest"], ["%.3g" % v for v in c["ratios"][:3]])

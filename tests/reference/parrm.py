"""PARRM's cost by numpy.linalg.lstsq, its minimum by a bounded line search, and the filter by its definition: fixtures/golden/parrm.json.

    python tests/reference/parrm.py > fixtures/golden/parrm.json

Input: noise of the LCG x <- (1103515245 x + 12345) mod 2^31, seed 12345, under three harmonics of a period.
"""

import json
import sys

import numpy as np
import scipy
from scipy.optimize import minimize_scalar

N, PERIOD, ASSUMED = 6000, 8.3377, 8.3


def signal(n, period):
    state, noise = 12345, []
    for _ in range(n):
        state = (1103515245 * state + 12345) % 2**31
        noise.append(state / 2**31 - 0.5)
    theta = 2 * np.pi * (np.arange(n) / period)
    return np.array(noise) + 20 * np.sin(theta) + 5 * np.cos(2 * theta + 1) + 2 * np.sin(3 * theta)


x = signal(N, PERIOD)
d = np.diff(x)
d = np.clip(d / np.mean(np.abs(d)), -3, 3)


def cost(period, harmonics, penalty):
    theta = 2 * np.pi * np.arange(1, N) / period
    columns = [np.ones(N - 1)]
    for k in range(1, harmonics + 1):
        columns += [np.sin(k * theta), np.cos(k * theta)]
    a = np.stack(columns, axis=1)
    beta = np.linalg.lstsq(a, d, rcond=None)[0]
    w = np.arange(1, len(beta) + 1)
    return float(np.mean((d - a @ beta) ** 2) + penalty * np.sum(w / w.sum() * beta**2))


def filtered(period, half_width, skip, width, past, line):
    m = np.arange(-half_width, 1 if past else half_width + 1)
    p = m - period * np.round(m / period)
    keep = (np.abs(m) > skip) & (np.abs(p) <= width)
    m, p = m[keep], p[keep]
    y = np.full(N, np.nan)
    for n in range(N):
        inside = (n + m >= 0) & (n + m < N)
        at, phase = n + m[inside], p[inside]
        if len(at) == 0:
            y[n] = x[n]
        elif line and len(np.unique(phase)) > 1:
            y[n] = x[n] - np.linalg.lstsq(np.stack([np.ones(len(at)), phase / width], axis=1), x[at], rcond=None)[0][0]
        else:
            y[n] = x[n] - x[at].mean()
    return len(m), y


costs = [
    {"period": tau, "harmonics": b, "penalty": lam, "cost": cost(tau, b, lam)}
    for tau in (8.3, 8.3377, 8.34, 8.41) for b, lam in ((3, 1.0), (10, 1.0), (20, 0.0))
]
best = minimize_scalar(lambda e: cost(PERIOD * (1 + e * 1e-6), 20, 0.0), bounds=(-20, 20), method="bounded", options={"xatol": 1e-6})
filters = []
for past in (False, True):
    for line in (False, True):
        n, y = filtered(PERIOD, 600, 4, 0.2, past, line)
        filters.append({"past": past, "line": line, "taps": n, "every": 50, "y": y[::50].tolist()})
out = {
    "made_by": "tests/reference/parrm.py", "numpy": np.__version__, "scipy": scipy.__version__, "seed": 12345,
    "n": N, "true_period": PERIOD, "assumed": ASSUMED, "minimum": PERIOD * (1 + best.x * 1e-6), "costs": costs,
    "half_width": 600, "skip": 4, "phase_width": 0.2, "filters": filters,
}
json.dump(out, sys.stdout, indent=1)
print()

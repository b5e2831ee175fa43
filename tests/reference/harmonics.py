"""Harmonic least squares by numpy.linalg.lstsq: fixtures/golden/harmonics.json.

    python tests/reference/harmonics.py

Input: x[i] = 3 + i/n + 5 sin(0.3 i) + noise, the noise from the LCG x <- (1103515245 x + 12345) mod 2^31, seed 12345.
"""

import json
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]


def signal(n):
    state, noise = 12345, []
    for _ in range(n):
        state = (1103515245 * state + 12345) % 2**31
        noise.append(state / 2**31 - 0.5)
    i = np.arange(n)
    return 3 + i / n + 5 * np.sin(0.3 * i) + np.array(noise)


def case(n, first, cycles, k):
    x, i = signal(n), first + np.arange(n)
    turns = (cycles * i) % 1.0
    columns = [np.ones(n)]
    for h in range(1, k + 1):
        columns += [np.cos(2 * np.pi * h * turns), np.sin(2 * np.pi * h * turns)]
    a = np.stack(columns, axis=1)
    u = (i - (first + (n - 1) / 2)) / (n / 2)
    plain, rss, *_ = np.linalg.lstsq(a, x, rcond=None)
    both = np.linalg.lstsq(np.hstack([a, a * u[:, None]]), x, rcond=None)[0]
    return {
        "n": n, "first": first, "cycles": cycles, "harmonics": k,
        "plain": plain.tolist(), "rss": float(rss[0]), "trend": both[: a.shape[1]].tolist(), "slope": both[a.shape[1]:].tolist(),
    }


cases = [case(3000, 0, 0.0477, 5), case(5000, 123_456, 0.01003, 10), case(701, -300, 0.0091, 3), case(2000, 1_000_000, 0.1103, 4)]
out = {"versions": {"numpy": np.__version__}, "cases": cases}
(ROOT / "fixtures" / "golden" / "harmonics.json").write_text(json.dumps(out, indent=1) + "\n")

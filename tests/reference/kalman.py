"""A dense harmonic Kalman filter in NumPy: fixtures/golden/kalman.json.

    python tests/reference/kalman.py

State (level, p_1, q_1, ..., p_K, q_K) in the resting frame, transition I, observation row [1, cos, sin, ...] from the sample index, Joseph's form:
the crate filters in the turning frame. Steady gain by scipy.linalg.solve_discrete_are in the turning frame.
Input: an artefact of two harmonics that grows, and the LCG x <- (1103515245 x + 12345) mod 2^31, seed 12345.
"""

import json
from pathlib import Path

import numpy as np
import scipy
from scipy.linalg import solve_discrete_are

ROOT = Path(__file__).resolve().parents[2]
EVERY = 37


def signal(n, cycles):
    state, noise = 12345, []
    for _ in range(n):
        state = (1103515245 * state + 12345) % 2**31
        noise.append(state / 2**31 - 0.5)
    i = np.arange(n)
    theta = 2 * np.pi * ((cycles * i) % 1.0)
    size = 1000 * (1 + i / n)
    return 30 + size * (np.sin(theta + 0.7) + 0.1 * np.cos(2 * theta)) + 10 * np.array(noise)


def case(n, cycles, k, ratio, prior):
    x, width = signal(n, cycles), 2 * k + 1
    m, p, cleaned = np.zeros(width), np.eye(width) * prior, np.empty(n)
    for i in range(n):
        turns = (cycles * i) % 1.0
        h = np.ones(width)
        for j in range(1, k + 1):
            h[2 * j - 1], h[2 * j] = np.cos(2 * np.pi * j * turns), np.sin(2 * np.pi * j * turns)
        s = h @ p @ h + 1
        g = p @ h / s
        m = m + g * (x[i] - h @ m)
        left = np.eye(width) - np.outer(g, h)
        p = left @ p @ left.T + np.outer(g, g)
        cleaned[i] = x[i] - h[1:] @ m[1:]
        p = p + ratio * np.eye(width)
    turn = np.eye(width)
    for j in range(1, k + 1):
        c, s = np.cos(2 * np.pi * j * cycles), np.sin(2 * np.pi * j * cycles)
        turn[2 * j - 1: 2 * j + 1, 2 * j - 1: 2 * j + 1] = [[c, -s], [s, c]]
    h = np.zeros(width)
    h[0] = 1
    h[1::2] = 1
    p = solve_discrete_are(turn.T, h[:, None], ratio * np.eye(width), np.eye(1))
    g = p @ h / (h @ p @ h + 1)
    after = p - np.outer(g, h @ p)
    artefact = h.copy()
    artefact[0] = 0
    return {"n": n, "cycles": cycles, "harmonics": k, "ratio": ratio, "prior": prior, "every": EVERY, "steady_gain": g.tolist(),
            "variance": float(artefact @ after @ artefact), "cleaned": cleaned[::EVERY].tolist()}


cases = [case(6000, 0.01003, 2, 1e-6, 1e6), case(4000, 0.0477, 5, 1e-5, 1e6), case(3000, 0.3103, 1, 1e-4, 1e4)]
out = {"versions": {"numpy": np.__version__, "scipy": scipy.__version__}, "cases": cases}
(ROOT / "fixtures" / "golden" / "kalman.json").write_text(json.dumps(out) + "\n")

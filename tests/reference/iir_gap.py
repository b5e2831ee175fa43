"""Reference numbers for `clean::gap_aware`: the piecewise zero-phase filter, written with SciPy and statsmodels.

    python tests/reference/iir_gap.py > fixtures/golden/iir_gap.json
"""
import json
import math
import numpy as np
import scipy
import scipy.signal as ss
import statsmodels
from statsmodels.regression.linear_model import burg

FS, BEYOND = 1000, 500
FIT = dict(before=100, after=30)


def lcg(seed, n):
    s, out = seed, np.empty(n)
    for i in range(n):
        s = (1664525 * s + 1013904223) & 0xFFFFFFFF
        out[i] = s / 4294967296.0 - 0.5
    return out


def signal(seed, n):
    i = np.arange(n)
    return 300 + 12 * np.sin(2 * np.pi * 10 * i / FS + seed) + 4 * np.cos(2 * np.pi * 23 * i / FS) + 6 * lcg(seed, n)


def extension(x, fit, n):
    mean = x.mean()
    x = x - mean
    y = x[-fit:] if len(x) > fit else x
    rho, _ = burg(y, math.ceil(len(y) / 3), demean=False)
    y = list(y)
    for _ in range(n):
        past = y[::-1][:len(rho)]
        y.append(float(np.dot(rho[:len(past)], past)))
    return mean + np.array(y[len(y) - n:])


def gap_aware(sos, x, filled):
    n, y = len(x), x.copy()
    edges = np.flatnonzero(np.diff(np.r_[True, filled, True].astype(int)))
    pieces = list(zip(edges[::2], edges[1::2]))
    for k, (p, q) in enumerate(pieces):
        gl = pieces[k - 1][1] if k else 0
        gr = pieces[k + 1][0] if k + 1 < len(pieces) else n
        before = p - gl + BEYOND if p > gl else 0
        after = gr - q + BEYOND if gr > q else 0
        piece = x[p:q]
        pre = extension(piece[::-1], FIT['after'], before)[::-1] if before else []
        post = extension(piece, FIT['before'], after) if after else []
        full = np.concatenate([pre, piece, post])
        filt = ss.sosfiltfilt(sos, full)
        y[p:q] = filt[before:before + q - p]
        for a, b, earlier in ((gl, p, False), (q, gr, True)):
            u = np.linspace(1, 0, b - a) if b - a > 1 else np.full(b - a, 0.5)
            w = u ** 2 / (u ** 2 + (1 - u) ** 2)
            w = w if earlier else 1 - w
            if a == 0 or b == n:
                w = np.ones(b - a)
            at = np.arange(a, b) - p + before
            y[a:b] -= w * (full[at] - filt[at])
    return y


out = dict(versions=dict(numpy=np.__version__, scipy=scipy.__version__, statsmodels=statsmodels.__version__), cases=[])
for seed, n, gaps, kind, cuts in [(1, 1500, [(498, 513)], 'bandpass', [1.0, 80.0]), (2, 1500, [(498, 513), (598, 613)], 'lowpass', [80.0]),
                                  (3, 900, [(0, 40), (498, 513), (880, 900)], 'bandstop', [48.0, 52.0]), (4, 600, [(300, 301)], 'highpass', [2.0])]:
    x = signal(seed, n)
    filled = np.zeros(n, bool)
    for a, b in gaps:
        filled[a:b] = True
        x[a:b] = 300.0
    x[gaps[0][1]:] += 50 * np.exp(-np.arange(n - gaps[0][1]) / 20.0)
    sos = ss.butter(2, cuts if len(cuts) > 1 else cuts[0], kind, fs=FS, output='sos')
    y = gap_aware(sos, x, filled)
    out['cases'].append(dict(seed=seed, n=n, gaps=gaps, kind=kind, cuts=cuts, x_every_50=x[::50].tolist(),
                             at=list(range(0, n, 9)) + list(range(gaps[-1][0] - 5, min(gaps[-1][1] + 5, n))),
                             y=[float(y[i]) for i in list(range(0, n, 9)) + list(range(gaps[-1][0] - 5, min(gaps[-1][1] + 5, n)))]))
print(json.dumps(out))

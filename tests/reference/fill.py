"""Reference numbers for bridging a gap: fixtures/golden/fill.json.

Signal: x[n] = 20 sin(2 pi 10 n/1000) + 5 cos(2 pi 23 n/1000) + u[n], with u from the integer generator
s <- (1664525 s + 1013904223) mod 2^32, u = s / 2^32 - 1/2, seed 4242: any program can rebuild it bit for bit.
Gap: samples 200..213, both ends included. Run: python tests/reference/fill.py
"""
import json
from pathlib import Path

import numpy as np
import scipy
import statsmodels
from scipy.interpolate import PchipInterpolator
from statsmodels.regression.linear_model import burg

OUT = Path(__file__).parents[2] / "fixtures/golden/fill.json"


def lcg(seed, n):
    state, out = seed, np.empty(n)
    for i in range(n):
        state = (1664525 * state + 1013904223) & 0xFFFFFFFF
        out[i] = state / 4294967296.0 - 0.5
    return out


n = np.arange(400)
x = 20 * np.sin(2 * np.pi * 10 * n / 1000) + 5 * np.cos(2 * np.pi * 23 * n / 1000) + lcg(4242, 400)
a, b = 200, 213
gap = np.arange(a, b + 1)


def model(segment, order, count):
    ar, sigma2 = burg(segment, order, demean=False)
    y = list(segment)
    for _ in range(count):
        y.append(float(np.dot(ar, y[::-1][:order])))
    return ar, sigma2, np.array(y[len(segment):])


def burg_case(start, stop, order):
    ar, sigma2, out = model(x[start:stop], order, 14)
    return {"from": start, "to": stop, "order": order, "ar": ar.tolist(), "sigma2": float(sigma2),
            "continuation": out.tolist()}


def cubic(w):
    idx = np.r_[a - w:a, b + 1:b + w + 1].astype(float)
    p = np.polyfit(idx - idx[0], x[idx.astype(int)], 3)
    return np.polyval(p, gap - idx[0]).tolist()


def pchip(w):
    idx = np.r_[a - w:a, b + 1:b + w + 1]
    return PchipInterpolator(idx, x[idx])(gap).tolist()


def ar_blend(w):
    order, count = -(-w // 3), len(gap)
    f = model(x[a - w:a], order, count)[2]
    g = model(x[b + 1:b + 1 + w][::-1], order, count)[2][::-1]
    u = np.linspace(1, 0, count)
    weight = u**2 / (u**2 + (1 - u) ** 2)
    return (weight * f + (1 - weight) * g).tolist()


def linear(k):
    return np.interp(gap, [a - 1, b + 1], [np.median(x[a - k:a]), np.median(x[b + 1:b + 1 + k])]).tolist()


# pchip on uneven points, with flat and reversing stretches, ends extrapolated by nothing
px = np.array([0.0, 0.7, 1.0, 2.5, 3.0, 4.2, 5.0, 7.0])
py = np.array([0.0, 1.0, 1.0, 4.0, 3.5, 3.5, -2.0, 10.0])
pq = np.linspace(0, 7, 57)
pairs = [([0.0, 2.0], [1.0, 5.0]), ([0.0, 1.0, 3.0], [1.0, 5.0, 4.0]), ([0.0, 1.0, 2.0], [0.0, 0.1, 9.0])]

fits = []
for start, stop, order in ((0, 40, 0), (0, 40, 1), (10, 200, 2), (3, 30, 3), (0, 400, 5)):
    t = np.arange(start, stop, dtype=float)
    fits.append({"from": start, "to": stop, "order": order,
                 "polyval": np.polyval(np.polyfit(t - t[0], x[start:stop], order), t - t[0]).tolist()})

stats = {
    "mean": float(x.mean()), "sd0": float(x.std()), "sd1": float(x.std(ddof=1)), "median": float(np.median(x)),
    "median_odd": float(np.median(x[:399])), "mad": float(np.median(np.abs(x - np.median(x)))),
    "q": [0.0, 0.01, 0.25, 0.333, 0.5, 0.9, 1.0],
    "quantiles": np.quantile(x, [0.0, 0.01, 0.25, 0.333, 0.5, 0.9, 1.0]).tolist(),
    "running_median_11": [float(np.median(x[max(0, i - 5):i + 6])) for i in range(400)],
    "running_median_50": [float(np.median(x[max(0, i - 25):i + 25])) for i in range(400)],
}

json.dump({
    "made_by": "tests/reference/fill.py",
    "versions": {"numpy": np.__version__, "scipy": scipy.__version__, "statsmodels": statsmodels.__version__},
    "signal": x.tolist(), "gap": [a, b], "truth": x[a:b + 1].tolist(),
    "burg": [burg_case(180, 200, 7), burg_case(100, 200, 34), burg_case(214, 234, 7), burg_case(0, 400, 60)],
    "cubic_20": cubic(20), "cubic_5": cubic(5), "cubic_2": cubic(2), "pchip_10": pchip(10), "pchip_1": pchip(1),
    "linear_1": linear(1), "linear_3": linear(3), "linear_4": linear(4), "ar_20": ar_blend(20), "ar_7": ar_blend(7),
    "pchip": {"x": px.tolist(), "y": py.tolist(), "at": pq.tolist(), "value": PchipInterpolator(px, py)(pq).tolist()},
    "pchip_short": [{"x": u, "y": v, "at": np.linspace(u[0], u[-1], 9).tolist(),
                     "value": PchipInterpolator(u, v)(np.linspace(u[0], u[-1], 9)).tolist()} for u, v in pairs],
    "polyfit": fits, "stats": stats,
}, OUT.open("w"), indent=None, separators=(",", ":"))
print(OUT, OUT.stat().st_size)

"""Reference numbers for the markers: fixtures/golden/mark.json, made with NumPy and SciPy.

Run from anywhere: python tests/reference/peaks.py
Input A is rebuilt by the Rust tests from an exact integer generator:
s <- (1664525 s + 1013904223) mod 2^32, u = s/2^32 - 0.5, one stream per channel, seed 12345 + 1000 * channel.
"""
import json, math, pathlib
import numpy as np
import scipy
from scipy.signal import find_peaks, peak_prominences


def lcg(seed, n):
    s, out = seed & 0xFFFFFFFF, np.empty(n)
    for i in range(n):
        s = (1664525 * s + 1013904223) & 0xFFFFFFFF
        out[i] = s / 4294967296.0 - 0.5
    return out


T0, N = -400, 1000
t = np.arange(T0, T0 + N).astype(float)


def g(mu, sd):
    return np.exp(-0.5 * ((t - mu) / sd) ** 2)


X = np.array([
    6 * math.cos(0.7 * c) * g(30, 6) - 8 * math.sin(0.9 * c + 0.3) * g(45, 8) - 12 * math.cos(0.4 * c + 1.1) * g(100, 20)
    + 9 * math.cos(0.7 * c) * g(190, 35) + 0.8 * lcg(12345 + 1000 * c, N)
    for c in range(8)
])
A = {}
for ddof in (0, 1):
    for ms in (30, 45, 100, 190):
        A[f"gmfa_ddof{ddof}_{ms}ms"] = float(X[:, ms - T0].std(ddof=ddof))
window = slice(15 - T0, 300 - T0 + 1)
A["gmfa0_area_15_300_uv_ms"] = float(np.trapezoid(X.std(axis=0)[window], t[window]))
for ms in (30, 100):
    A[f"lmfa012_{ms}ms"] = float(np.sqrt(np.mean(X[:3, ms - T0] ** 2)))

roi = X[:3].mean(axis=0)
for lo, hi in ((20, 40), (80.25, 145.5), (30.2, 30.7)):
    grid = np.r_[lo, t[(t > lo) & (t < hi)], hi]
    values = np.interp(grid, t, roi)
    A[f"roi012_area_{lo}_{hi}"] = float(np.trapezoid(values, grid))
    A[f"roi012_rectified_area_{lo}_{hi}"] = float(np.trapezoid(np.abs(values), grid))


def strict_peak(x, lo, hi, sign, nominal, k=5):
    """The largest sample in the window that exceeds its k neighbours on both sides."""
    found = []
    for b in range(lo - T0, hi - T0 + 1):
        sides = np.r_[x[b - k:b], x[b + 1:b + k + 1]]
        if np.all(sign * (x[b] - sides) > 0):
            found.append(b)
    if not found:
        return dict(found=False, lat=None, amp=float(x[nominal - T0]), ncand=0)
    b = max(found, key=lambda q: sign * x[q])
    prominence = float(peak_prominences(sign * x, [b])[0][0])
    return dict(found=True, lat=float(t[b]), amp=float(x[b]), ncand=len(found), prominence=prominence)


for name, lo, hi, sign, nominal in (("P30", 20, 40, 1, 30), ("N45", 40, 55, -1, 45), ("P60", 55, 75, 1, 60),
                                    ("N100", 80, 140, -1, 100), ("P180", 150, 230, 1, 180), ("N15", 8, 20, -1, 15)):
    A[f"roi012_{name}"] = strict_peak(roi, lo, hi, sign, nominal)


def wide_peaks(x, k):
    """Peaks of scipy (a plateau counts at its middle) that exceed k samples beyond the plateau on both sides."""
    peaks, edges = find_peaks(x, plateau_size=1)
    keep = []
    for p, a, b in zip(peaks, edges["left_edges"], edges["right_edges"]):
        if a >= k and b + k < len(x) and np.all(x[a - k:a] < x[a]) and np.all(x[b + 1:b + k + 1] < x[b]):
            keep.append(int(p))
    return keep


rng = np.random.default_rng(20240501)
plateaus = []
for levels, n in ((3, 60), (4, 120), (6, 200), (40, 200), (8, 200), (5, 1), (5, 2), (2, 3)):
    x = rng.integers(0, levels, n).astype(float)
    if levels == 8:
        x = np.cumsum(x - 3.5).round() // 2
    peaks = find_peaks(x)[0]
    plateaus.append(dict(x=x.tolist(), peaks={str(k): wide_peaks(x, k) for k in (1, 2, 3, 5)},
                         prominences=peak_prominences(x, peaks)[0].tolist()))
    assert plateaus[-1]["peaks"]["1"] == peaks.tolist()

# 50 Hz in an average: amplitude by ordinary least squares with an offset and a slope per window
rate, first, n = 1000.0, -1000, 2001
time = (first + np.arange(n)) / rate
x = 0.7 * np.cos(2 * np.pi * 50 * time + 0.4) + 3 + 2 * time + lcg(777, n)
rows = [np.flatnonzero((time >= a - 1e-9) & (time <= b + 1e-9)) for a, b in ((-0.5, -0.01), (0.5, 1.0))]
idx = np.concatenate(rows)


def line_amplitude(f):
    design = np.zeros((len(idx), 6))
    start = 0
    for w, r in enumerate(rows):
        design[start:start + len(r), 2 * w] = 1
        design[start:start + len(r), 2 * w + 1] = time[r] - time[r].mean()
        start += len(r)
    design[:, 4], design[:, 5] = np.cos(2 * np.pi * f * time[idx]), np.sin(2 * np.pi * f * time[idx])
    beta = np.linalg.lstsq(design, x[idx], rcond=None)[0]
    return float(np.hypot(beta[4], beta[5]))


line = {str(f): line_amplitude(f) for f in (44, 50, 56, 60)}

out = dict(made_by="tests/reference/peaks.py", versions=dict(numpy=np.__version__, scipy=scipy.__version__),
           A=A, plateaus=plateaus, line=line)
path = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "golden" / "mark.json"
path.write_text(json.dumps(out, indent=1) + "\n")

"""Power, aperiodic-corrected alpha, its centre of gravity and connectivity before and after -> fixtures/golden/after_effect.json

scipy.signal.periodogram (Hann, linear detrending) averaged over epochs; the aperiodic line by numpy.polyfit of lg P over lg f within
2-40 Hz, 10 +- 3 Hz left out; debiased wPLI and imaginary coherency over epochs, mean over 8-13 Hz. The signal is the generator's noise and
an alpha rhythm of 10 Hz that the second channel has 20 ms later.
"""
import json, pathlib
import numpy as np, scipy
from scipy.signal import periodogram, detrend, get_window

def lcg(n, seed):
    out, s = np.empty(n), seed
    for i in range(n):
        s = (1664525 * s + 1013904223) & 0xFFFFFFFF
        out[i] = s / 4294967296 - 0.5
    return out

rate, n, epochs, channels = 100.0, 200, 14, 3
out = dict(made_by="tests/reference/after_effect.py", versions=dict(numpy=np.__version__, scipy=scipy.__version__), rate=rate, n=n, epochs=epochs)
t = np.arange(n) / rate
w = get_window("hann", n)
for condition, gain in enumerate([3.0, 4.0]):
    x = np.empty((epochs, channels, n))
    for e in range(epochs):
        turn = 2 * np.pi * lcg(1, 7000 + 100 * condition + e)[0]
        for c in range(channels):
            noise = lcg(n + 20, 1000 * condition + 10 * e + c)
            smooth = np.array([sum(noise[i + k] * 0.8**k for k in range(20)) for i in range(n)])
            x[e, c] = 10 * smooth + gain * (c < 2) * np.cos(2 * np.pi * 10 * (t - 0.02 * c) + turn) + 5 + 30 * e * t
    f, p = periodogram(x, rate, window="hann", detrend="linear", axis=-1)
    p = p.mean(0)
    X = np.fft.rfft(detrend(x, axis=-1) * w, axis=-1)
    rows = []
    for c in range(channels):
        fit = (f > 1.999) & (f < 40.001) & (np.abs(f - 10) > 3)
        b, a = np.polyfit(np.log10(f[fit]), np.log10(p[c, fit]), 1)
        near = (f > 7.999) & (f < 11.999)
        rows.append(dict(theta=p[c, (f >= 4) & (f < 8)].sum() * rate / n, alpha_corrected=(p[c, near] - 10**(a + b * np.log10(f[near]))).sum() * rate / n,
                         alpha_gravity=(f[near] * p[c, near]).sum() / p[c, near].sum()))
    band = (f >= 8) & (f < 13)
    pairs = []
    for a in range(channels):
        for b in range(a + 1, channels):
            S = (X[:, a] * X[:, b].conj())[:, band]
            im = S.imag
            wpli = (im.sum(0)**2 - (im**2).sum(0)) / (np.abs(im).sum(0)**2 - (im**2).sum(0))
            imcoh = im.sum(0) / np.sqrt((np.abs(X[:, a])**2).sum(0) * (np.abs(X[:, b])**2).sum(0))[band]
            pairs.append(dict(wpli2_debiased=wpli.mean(), imcoh=imcoh.mean()))
    out["to" if condition else "from"] = dict(channels=rows, pairs=pairs)
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/after_effect.json"
path.write_text(json.dumps(out))
print(path.stat().st_size, json.dumps(out["from"], indent=0), json.dumps(out["to"]))

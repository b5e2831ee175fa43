"""Reference numbers for `dsp::iir`: SciPy's Butterworth designs and zero-phase filtering.

    python tests/reference/iir.py > fixtures/golden/iir.json

`sos` and `zi` are SciPy's; `h` is their response, evaluated in 80-bit arithmetic; `y` is every 7th sample of
`sosfiltfilt` over LCG noise with an offset and a slope. Where the cut-off is a tiny fraction of the rate, double
precision itself leaves an error, so `y80` is the same algorithm in 80-bit arithmetic, from the same coefficients.
"""
import json
import numpy as np
import scipy
import scipy.signal as ss


def lcg(seed, n):
    s, out = seed, np.empty(n)
    for i in range(n):
        s = (1664525 * s + 1013904223) & 0xFFFFFFFF
        out[i] = s / 4294967296.0 - 0.5
    return out


def response(sos, f, fs):
    w = 2 * np.arccos(np.longdouble(-1)) * np.longdouble(f) / np.longdouble(fs)
    d = 1 - (np.cos(w) - 1j * np.sin(w))
    h = np.clongdouble(1)
    for b0, b1, b2, _, a1, a2 in sos.astype(np.longdouble):
        h *= (b0 + b1 + b2 - (b1 + 2 * b2) * d + b2 * d * d) / (1 + a1 + a2 - (a1 + 2 * a2) * d + a2 * d * d)
    return [float(h.real), float(h.imag)]


def filt80(sos, x, first):
    level = np.longdouble(first)
    y = x.copy()
    for b0, b1, b2, _, a1, a2 in sos.astype(np.longdouble):
        gain = (b0 + b1 + b2) / (1 + a1 + a2)
        s1, s2 = level * (gain - b0), level * (b2 - a2 * gain)
        level *= gain
        for i in range(len(y)):
            v = y[i]
            o = b0 * v + s1
            s1 = b1 * v - a1 * o + s2
            s2 = b2 * v - a2 * o
            y[i] = o
    return y


def filtfilt80(sos, x):
    n = len(sos)
    pad = 3 * (2 * n + 1 - min((sos[:, 2] == 0).sum(), (sos[:, 5] == 0).sum()))
    x = x.astype(np.longdouble)
    e = np.concatenate([2 * x[0] - x[pad:0:-1], x, 2 * x[-1] - x[-2:-pad - 2:-1]])
    for _ in range(2):
        e = filt80(sos, e, e[0])[::-1]
    return e[pad:pad + len(x)]


cases = [(n, 'lowpass', [80.0], 1000.0) for n in range(1, 9)]
cases += [(n, 'bandpass', [1.0, 80.0], 1000.0) for n in (1, 2, 3, 4, 8)]
cases += [(n, 'bandstop', [48.0, 52.0], 1000.0) for n in (1, 2, 3, 4)]
cases += [(n, 'highpass', [1.0], 1000.0) for n in (1, 2, 3, 5)]
cases += [(2, 'highpass', [0.1], 25000.0), (2, 'bandpass', [0.1, 1000.0], 25000.0), (2, 'bandstop', [58.0, 62.0], 5000.0),
          (4, 'bandpass', [8.0, 12.0], 500.0), (1, 'bandpass', [20.0, 500.0], 5000.0), (2, 'lowpass', [499.0], 1000.0),
          (3, 'bandpass', [10.0, 200.0], 500.0)]
out = dict(versions=dict(numpy=np.__version__, scipy=scipy.__version__), designs=[])
for order, kind, cuts, fs in cases:
    sos = ss.butter(order, cuts if len(cuts) > 1 else cuts[0], kind, fs=fs, output='sos')
    freqs = sorted(set([0.0, fs / 5, fs / 2.1] + cuts + [0.5 * cuts[0], 1.3 * cuts[-1]]))
    freqs = [f for f in freqs if f < fs / 2]
    x = 20 * lcg(order * 1000 + int(cuts[0]), 400) + 3 + 0.02 * np.arange(400)
    out['designs'].append(dict(
        order=order, kind=kind, cuts=cuts, rate=fs, sos=sos.tolist(), zi=ss.sosfilt_zi(sos).tolist(),
        f=freqs, h=[response(sos, f, fs) for f in freqs], seed=order * 1000 + int(cuts[0]),
        y=ss.sosfiltfilt(sos, x)[::7].tolist(), y80=[float(v) for v in filtfilt80(sos, x)[::7]]))
# The decay of tms_eeg golden E: 50 uV, tau 20 ms, from sample 1000 of 2000 at 1 kHz.
x = np.zeros(2000)
x[1000:] = 50 * np.exp(-np.arange(1000) / 20.0)
y = ss.sosfiltfilt(ss.butter(2, [1, 100], 'bandpass', fs=1000, output='sos'), x)
out['decay'] = {str(k): float(y[k]) for k in (500, 900, 990, 1000, 1050, 1200)}
print(json.dumps(out))

"""Phase locking to a stimulation, its chance level, and phase-binned power by NumPy and MNE -> fixtures/golden/entrainment.json

Epochs of 2 s follow each other at 250 Hz; the signal is the generator's noise and a sinusoid that keeps the stimulation's phase
but for a jitter. Demodulated with Hann's window (periodic), Rayleigh's p by Zar's formula. Amplitudes: mne.filter.filter_data and
scipy.signal.hilbert, binned by the stimulation's phase, modulation index of Tort et al. 2010.
"""
import json, pathlib
import numpy as np, scipy, mne
from scipy.signal import hilbert, get_window

mne.set_log_level("ERROR")

def lcg(n, seed):
    out, s = np.empty(n), seed
    for i in range(n):
        s = (1664525 * s + 1013904223) & 0xFFFFFFFF
        out[i] = s / 4294967296 - 0.5
    return out

rate, n, epochs, hz, phi, first, bins = 250.0, 500, 12, 10.3217, 0.7, 1500, 18
x = np.empty((epochs, 2, n))
phase = np.empty((epochs, n))
jitter = lcg(epochs, 99)
for e in range(epochs):
    k = first + e * n + np.arange(n)
    phase[e] = 2 * np.pi * hz / rate * k + phi
    for c in range(2):
        noise = lcg(n, 100 * e + c)
        x[e, c] = 20 * noise * (1 + 0.5 * c * np.cos(phase[e] - 1)) + 2 * np.cos(phase[e] + 0.4 + 4 * jitter[e]) * (1 - c) + 30

w = get_window("hann", n)
z = np.einsum("n,ecn,en->ec", w, x - x.mean(-1, keepdims=True), np.exp(-1j * phase))
plv = np.abs((z / np.abs(z)).mean(0))
ppc = (epochs * plv**2 - 1) / (epochs - 1)
R = epochs * plv
p = np.exp(np.sqrt(1 + 4 * epochs + 4 * (epochs**2 - R**2)) - (1 + 2 * epochs))
angle = np.rad2deg(np.angle((z / np.abs(z)).mean(0)))
amplitude = (2 * np.abs(z) / w.sum()).mean(0)

bands = {"beta": (13, 30), "gamma": (30, 45)}
power = {}
wrapped = (phase + np.pi) % (2 * np.pi) - np.pi
which = np.floor((wrapped + np.pi) / (2 * np.pi / bins)).astype(int)
for name, band in bands.items():
    y = mne.filter.filter_data(x - x.mean(-1, keepdims=True), rate, *band, verbose="ERROR")
    a = np.abs(hilbert(y, N=mne.filter.next_fast_len(n), axis=-1)[..., :n])
    rows = []
    for c in range(2):
        mean = np.array([a[:, c][which == b].mean() for b in range(bins)])
        q = mean / mean.sum()
        rows.append(dict(mi=1 + (q * np.log(q)).sum() / np.log(bins), power_uv2=[(a[:, c][which == b] ** 2).mean() / 2 for b in range(bins)]))
    power[name] = rows
out = dict(made_by="tests/reference/entrainment.py", versions=dict(numpy=np.__version__, scipy=scipy.__version__, mne=mne.__version__), rate=rate, n=n, epochs=epochs, hz=hz, phi=phi, first=first,
           counts=np.bincount(which.ravel(), minlength=bins).tolist(), plv=plv.tolist(), ppc=ppc.tolist(), p=p.tolist(), phase_deg=angle.tolist(), amplitude_uv=amplitude.tolist(), power=power)
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/entrainment.json"
path.write_text(json.dumps(out))
print(path.stat().st_size, plv, ppc, p, {k: [r["mi"] for r in v] for k, v in power.items()})

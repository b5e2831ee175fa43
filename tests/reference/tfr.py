"""Morlet and multitaper transforms, baselines and evoked power by MNE-Python, Hilbert envelopes by SciPy -> fixtures/golden/tfr.json"""
import json, pathlib
import numpy as np, scipy, mne
from scipy import signal

mne.set_log_level("ERROR")


def lcg(seed, n):
    out, s = np.empty(n), seed
    for i in range(n):
        s = (1664525 * s + 1013904223) % 2**32
        out[i] = s / 2**32 - 0.5
    return out


# trial k, channel c: a 10 Hz oscillation, partly locked, over uniform noise; -1 ... 1.5 s at 200 Hz
fs, first, n = 200.0, -200, 501
t = (first + np.arange(n)) / fs
x = np.array([[6 * np.cos(2 * np.pi * 10 * t + 0.9 * np.sin(1.7 * k) + c) * (1 + (t > 0.1)) + 20 * lcg(777 + 1000 * k + 50 * c, n) for c in range(2)] for k in range(7)])
freqs = np.array([8.0, 10.0, 17.5, 40.0])
decim = slice(4, None, 5)  # (first + 4) % 5 == 1: every fifth sample, -196, -191, ... : t = 0 is none of them
anchored = slice(0, None, 5)  # sample 200 (t = 0) is one

flat = lambda a: np.asarray(a).ravel().tolist()
tfr = lambda data, out, **kw: mne.time_frequency.tfr_array_morlet(data, fs, freqs, output=out, **kw)
out = dict(made_by="tests/reference/tfr.py", versions=dict(numpy=np.__version__, scipy=scipy.__version__, mne=mne.__version__), rate=fs, first=first, samples=n, trials=len(x), freqs=freqs.tolist())

z = tfr(x[:1, :1], "complex", n_cycles=3.5, zero_mean=False, decim=decim)[0, 0]
out["complex_no_zero_mean_offset4"] = dict(re=flat(z.real), im=flat(z.imag))
z = tfr(x[:1, :1], "complex", n_cycles=np.array([3.0, 3.5, 5.0, 9.0]), zero_mean=True, decim=anchored)[0, 0]
out["complex_cycles_3_3.5_5_9"] = dict(re=flat(z.real), im=flat(z.imag))

kw = dict(n_cycles=3.5, zero_mean=True, decim=anchored)
power, itc = tfr(x, "avg_power", **kw), tfr(x, "itc", **kw)
evoked = np.abs(tfr(x.mean(0, keepdims=True), "complex", **kw)[0]) ** 2
induced = tfr(x - x.mean(0, keepdims=True), "avg_power", **kw)
out["morlet"] = dict(power=flat(power), itc=flat(itc), evoked=flat(evoked), induced=flat(induced))

times = t[anchored]
base = (-0.6, -0.3)
rescale = lambda p, mode: mne.baseline.rescale(p.copy(), times, base, mode=mode)
out["baseline"] = {mode: flat(rescale(power, mode)) for mode in ("logratio", "percent", "zscore", "mean", "ratio")}
single = tfr(x, "power", **kw)
out["baseline_per_trial"] = {mode: flat(rescale(single, mode).mean(0)) for mode in ("logratio", "percent", "zscore")}

both = mne.time_frequency.tfr_array_multitaper(x, fs, freqs, n_cycles=5.0, time_bandwidth=4.0, output="avg_power_itc", decim=anchored)
out["multitaper"] = dict(power=flat(both.real), itc=flat(both.imag))

bands = [[8, 12], [13, 30]]
power, itc = [], []
for band in bands:
    sos = signal.butter(4, band, "bandpass", fs=fs, output="sos")
    a = signal.hilbert(signal.sosfiltfilt(sos, x, axis=-1), axis=-1)[..., anchored]
    power.append((np.abs(a) ** 2).mean(0))
    itc.append(np.abs((a / np.abs(a)).mean(0)))
out["hilbert"] = dict(bands=bands, power=flat(np.moveaxis(power, 0, 1)), itc=flat(np.moveaxis(itc, 0, 1)))

path = pathlib.Path(__file__).parents[2] / "fixtures/golden/tfr.json"
path.write_text(json.dumps(out))
print(path.stat().st_size)

#!/usr/bin/env python3
"""Reference numbers for the epoch steps: steps.py > ../../fixtures/golden/steps.json   (NumPy and MNE-Python; seed below)

signal           one channel, -1000..1000 ms at 250 Hz: a 5 mV offset, a drift, coloured noise and a response
detrend/<order>  signal minus numpy.polyfit over -1000..-10 and 500..1000 ms
detrend_filled   order 1, with samples 25..34 left out of the fit
whittaker        signal minus the drift of Whittaker's smoother, first differences, 2.5 Hz, weights (t/500 ms)^2 after the pulse: the
                 equations solved as a whole by numpy.linalg.solve; "filled": samples 249..253 without weight
baseline         mne.baseline.rescale over -500..-10 ms
reject           six trials of four channels (epochs/<trial>/<channel>), which of them MNE drops with reject = 120 uV peak to peak
                 over -50..50 ms, with flat = 2 uV, and the peak-to-peak values themselves
reference        trial 0 re-referenced by mne.set_eeg_reference: to the average, and to two named channels
bad_channels     noise_uv by its definition in NumPy: geometric mean over trials of the RMS of x(t) - (x(t-5 ms) + x(t+5 ms))/2
"""
import json
import sys

import mne
import numpy as np

mne.set_log_level("ERROR")
rng = np.random.default_rng(20240611)


def listed(x):
    return [round(float(v), 11) for v in np.ravel(x)]


t = np.arange(-1000, 1001, 4)
x = np.round(5000 + 0.03 * t + 2e-5 * t**2 + 0.6 * np.cumsum(rng.normal(size=t.size)) - 8 * np.exp(-(((t - 100) / 18) ** 2) / 2), 3)
fit = ((t >= -1000) & (t <= -10)) | ((t >= 500) & (t <= 1000))


def detrended(order, use):
    s = t / 1000
    return x - np.polyval(np.polyfit(s[use], x[use], order), s)


kept = fit.copy()
kept[25:35] = False

weights = np.where((t < -10) | (t >= 500), 1.0, (np.maximum(t, 0) / 500) ** 2)
stiffness = 1 / (2 * np.sin(np.pi * 2.5 / 250)) ** 2


def without_drift(weights):
    differences = np.diff(np.eye(t.size), axis=0)
    return x - np.linalg.solve(np.diag(weights) + stiffness * differences.T @ differences, weights * x)


bridge = np.isin(np.arange(t.size), range(249, 254))

names = ["Fp1", "Cz", "M1", "M2"]
times = np.arange(-100, 101) / 1000
trials = np.round(rng.normal(size=(6, 4, times.size)) * 10, 3)
trials[1, 0, 60] += 150  # inside the window
trials[2, 1, 20] += 150  # outside it
trials[3, 2] = 0.001 * (np.arange(times.size) % 2)  # flat
trials[4, 3, 50] = trials[4, 3, 55:150].min() + 119.9  # first sample of the window, close to the limit
info = mne.create_info(names, 1000.0, "eeg")
events = np.c_[np.arange(6) * 500 + 200, np.zeros(6, int), np.ones(6, int)]
epochs = mne.EpochsArray(trials * 1e-6, info, events, tmin=-0.1, baseline=None, reject=dict(eeg=120e-6), flat=dict(eeg=2e-6), reject_tmin=-0.05, reject_tmax=0.05)
window = (np.arange(times.size) >= 50) & (np.arange(times.size) <= 150)
raw = mne.io.RawArray(trials[0] * 1e-6, info)
average = mne.set_eeg_reference(raw.copy(), "average")[0].get_data() * 1e6
named = mne.set_eeg_reference(raw.copy(), ["M1", "M2"])[0].get_data() * 1e6

second = trials[:, :, 5:-5] - (trials[:, :, :-10] + trials[:, :, 10:]) / 2
rms = np.sqrt((second**2).mean(-1))

json.dump(
    {
        "made_by": "tests/reference/steps.py",
        "versions": {"python": sys.version.split()[0], "numpy": np.__version__, "mne": mne.__version__},
        "signal": listed(x),
        "detrend": {str(order): listed(detrended(order, fit)) for order in range(4)},
        "detrend_filled": listed(detrended(1, kept)),
        "whittaker": {"plain": listed(without_drift(weights)), "filled": listed(without_drift(np.where(bridge, 0, weights)))},
        "baseline": listed(mne.baseline.rescale(x[None], t / 1000, (-0.5, -0.01))),
        "epochs": [[listed(c) for c in trial] for trial in trials],
        "reject": {
            "dropped": [list(reasons) for reasons in epochs.drop_log],
            "ptp": [listed(np.ptp(trial[:, window], axis=-1)) for trial in trials],
        },
        "reference": {"average": [listed(c) for c in average], "named": [listed(c) for c in named]},
        "bad_channels": {"noise_uv": listed(np.exp(np.log(rms).mean(0)))},
    },
    sys.stdout,
    separators=(",", ":"),
)

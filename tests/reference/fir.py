"""Windows, windowed-sinc designs and MNE's FIR designs and filtered data -> fixtures/golden/fir.json"""
import json, pathlib
import numpy as np, scipy, mne
from scipy import signal

mne.set_log_level("ERROR")
out = {"made_by": "tests/reference/fir.py", "versions": {"numpy": np.__version__, "scipy": scipy.__version__, "mne": mne.__version__}}

out["windows"] = []
for name, par in [("boxcar", None), ("hann", None), ("hamming", None), ("blackman", None), ("kaiser", 5.0), ("kaiser", 14.0), ("kaiser", 0.0), ("gaussian", 7.0)]:
    for n in (1, 2, 7, 32, 61):
        for periodic in (False, True):
            w = signal.get_window(name if par is None else (name, par), n, fftbins=periodic)
            out["windows"].append(dict(name=name, parameter=par, periodic=periodic, samples=w.tolist()))

out["firwin"] = []
for n, cut, zero, win in [
    (101, 0.2, True, ("kaiser", 5.0)), (31, 0.5, True, "hamming"), (30, 0.1, True, "hann"),
    (51, 0.3, False, "hamming"), (51, [0.1, 0.4], False, "blackman"), (71, [0.2, 0.25], True, "hamming"),
]:
    h = signal.firwin(n, cut, window=win, pass_zero=zero)
    out["firwin"].append(dict(cutoff=np.atleast_1d(cut).tolist(), pass_zero=zero, window=win[0] if isinstance(win, tuple) else win, beta=win[1] if isinstance(win, tuple) else None, taps=h.tolist()))

# symmetric: the first half and the centre are enough
half = lambda h: h[: len(h) // 2 + 1].tolist()
out["mne"] = []
def design(sfreq, l, h, lt="auto", ht="auto", win="hamming"):
    t = mne.filter.create_filter(None, sfreq, l, h, l_trans_bandwidth=lt, h_trans_bandwidth=ht, fir_window=win)
    assert np.array_equal(t, t[::-1]) or np.abs(t - t[::-1]).max() < 1e-15
    stop = l is not None and h is not None and l > h
    if stop:  # MNE's l_* belong to l_freq, which is a stop band's upper edge
        lt, ht = ht, lt
    out["mne"].append(dict(rate=sfreq, band=None if stop else [l or 0, h], stop=[h, l] if stop else None,
                           low_transition=None if lt == "auto" else lt, high_transition=None if ht == "auto" else ht, window=win, taps=len(t), half=half(t)))
design(500.0, None, 40)
design(500.0, 1.0, 80)
design(250.0, 4.0, None)
design(500.0, 8, 13, win="hann")
design(1000.0, 2, 100, 1.5, 17.0, win="blackman")
design(256.0, 5, 126)           # the upper transition is cut to Nyquist
design(500.0, 52, 48, 1.0, 1.0) # band-stop 48..52, transitions inside
design(500.0, 60, 40, 4.0, 6.0)

rng = np.random.default_rng(20240501)
n = 1500
t = np.arange(n) / 250.0
x = 20 + 15 * np.sin(2 * np.pi * 10 * t) + 8 * np.sin(2 * np.pi * 55 * t) + np.cumsum(rng.normal(size=n))
x = np.round(x, 6)
y = {}
y["lowpass_30"] = mne.filter.filter_data(x, 250.0, None, 30.0)
y["bandpass_4_30"] = mne.filter.filter_data(x, 250.0, 4.0, 30.0)
y["stop_45_65"] = mne.filter.filter_data(x, 250.0, 65.0, 45.0, l_trans_bandwidth=3.0, h_trans_bandwidth=3.0)
s = mne.filter.filter_data(x[:300], 250.0, 4.0, 30.0)
out["filter_data"] = dict(rate=250.0, x=x.tolist(), short=s[:300].tolist(), **{k: v.tolist() for k, v in y.items()})
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/fir.json"
path.write_text(json.dumps(out))
print(path.stat().st_size)

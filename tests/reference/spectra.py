"""scipy.signal.welch and MNE-Python's psd_array_welch and psd_array_multitaper -> fixtures/golden/spectra.json"""
import json, pathlib
import mne, numpy as np, scipy
from mne.time_frequency import psd_array_multitaper, psd_array_welch
from scipy import signal as sps

RATE = 250.0
BANDS = [(1, 4), (4, 8), (8, 13), (13, 30), (30, 45)]


def noise(seed, n):
    out, state = np.empty(n), seed
    for i in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        out[i] = state / 2**31 - 1
    return out


def signal(seed, n):
    """Red noise with an offset and a 10.3 Hz rhythm."""
    out, last = np.empty(n), 0.0
    for i, v in enumerate(noise(seed, n)):
        last = 0.95 * last + 10.0 * v
        out[i] = last
    return out + 12.0 * np.sin(2 * np.pi * 10.3 * np.arange(n) / RATE) + 40.0


cases = []


def case(name, seed, epochs, samples, f, psd, n_windows, config, skip_0_hz):
    df = f[1] - f[0]
    bands = [float(psd[(f >= lo - 1e-9) & (f < hi - 1e-9)].sum() * df) for lo, hi in BANDS]
    every = max(1, len(psd) // 150)
    cases.append(dict(name=name, seed=seed, epochs=epochs, samples=samples, n_windows=n_windows, resolution_hz=float(df), config=config, skip_0_hz=skip_0_hz, every=every, psd=psd[::every].tolist(), bands=bands))


seed = 1
for window in ("hamming", "hann", "blackman", "boxcar", "kaiser"):
    for samples, nperseg, noverlap in [(3000, 500, 250), (2999, 333, 83), (1501, 1501, 0)]:
        for average in ("mean", "median"):
            seed += 1
            x = signal(seed, samples)
            w = ("kaiser", 6.0) if window == "kaiser" else window
            f, psd = sps.welch(x, RATE, window=w, nperseg=nperseg, noverlap=noverlap, detrend="constant", average=average)
            n = (samples - noverlap) // (nperseg - noverlap)
            config = dict(segment_ms=nperseg * 1e3 / RATE, overlap=noverlap / nperseg, taper=dict(kaiser=6.0) if window == "kaiser" else window, average=average)
            # under a boxcar nothing remains at 0 Hz but rounding
            case(f"scipy {window} {average} {samples}/{nperseg}", seed, 1, samples, f, psd, n, config, window == "boxcar")
            if window == "hamming":
                psd, f = psd_array_welch(x, RATE, n_fft=nperseg, n_per_seg=nperseg, n_overlap=noverlap, window="hamming", average=average, verbose=False)
                case(f"mne {average} {samples}/{nperseg}", seed, 1, samples, f, psd, n, config, False)
for samples, nw in [(1000, 4.0), (751, 2.5), (500, 8.0)]:
    for low_bias in (True, False):
        for adaptive in (False, True):
            seed += 1
            epochs = 3
            x = signal(seed, epochs * samples).reshape(epochs, samples)
            psd, f = psd_array_multitaper(x, RATE, bandwidth=2 * nw * RATE / samples, adaptive=adaptive, low_bias=low_bias, normalization="full", verbose=False)
            config = dict(method="multitaper", nw=nw, low_bias=low_bias, adaptive=adaptive)
            case(f"mne multitaper {samples} nw {nw} {low_bias} {adaptive}", seed, epochs, samples, f, psd.mean(0), epochs, config, False)
out = dict(made_by="tests/reference/spectra.py", versions=dict(numpy=np.__version__, scipy=scipy.__version__, mne=mne.__version__), cases=cases)
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/spectra.json"
path.write_text(json.dumps(out))
print(path.stat().st_size, len(cases))

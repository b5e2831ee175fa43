"""scipy.signal.hilbert and one-sided power from scipy.signal.ShortTimeFFT -> fixtures/golden/stft.json"""
import json, pathlib
import numpy as np, scipy
from scipy import signal

rng = np.random.default_rng(11)
hilbert = []
for n in (1, 2, 9, 64, 101):
    x = np.round(10 * rng.normal(size=n), 4)
    a = signal.hilbert(x)
    hilbert.append(dict(x=x.tolist(), re=a.real.tolist(), im=a.imag.tolist()))

cases = []
fs = 200.0
x = np.round(5 + 10 * np.sin(2 * np.pi * 12 * np.arange(700) / fs) + 3 * rng.normal(size=700), 4)
for name, nperseg, nfft, hop in [("hann", 64, 64, 16), ("hamming", 101, 101, 25), ("hann", 50, 128, 10), ("blackman", 80, 80, 80)]:
    w = signal.get_window(name, nperseg)
    S = signal.ShortTimeFFT(w, hop, fs, fft_mode="onesided2X", mfft=nfft, scale_to="psd", phase_shift=None)
    P = S.spectrogram(x)                      # slice p is centred at sample p * hop (m_num // 2 is the window's middle)
    p = np.arange(S.p_min, S.p_max(len(x)))
    lo, hi = S.lower_border_end[1], S.upper_border_begin(len(x))[1]
    inside = (p >= lo) & (p < hi)
    # onesided2X doubles the power of all bins but 0 Hz and Nyquist under scale_to psd: amplitudes times sqrt(2)
    cases.append(dict(window=name, length=nperseg, fft=nfft, hop=hop, remove_mean=False, first=int(p[inside][0]), frames=int(inside.sum()), hz=S.f.tolist(), power=P[:, inside].T[::3].tolist(), every=3))
    # a second opinion
    f, t, Q = signal.spectrogram(x, fs, window=w, nperseg=nperseg, noverlap=nperseg - hop, nfft=nfft, detrend=False)
    k0 = int(round(t[0] * fs))
    q = {int(round(tt * fs - (nperseg / 2 - nperseg // 2))): i for i, tt in enumerate(t)}
    for i, pp in enumerate(p):
        if inside[i] and pp * hop in q:
            assert np.allclose(P[:, i], Q[:, q[pp * hop]], rtol=1e-9), name
# with each frame's mean removed
w = signal.get_window("hann", 64)
f, t, Q = signal.spectrogram(x, fs, window=w, nperseg=64, noverlap=48, detrend="constant")
cases.append(dict(window="hann", length=64, fft=64, hop=16, remove_mean=True, first=2, frames=Q.shape[1], hz=f.tolist(), power=Q.T[::3].tolist(), every=3))
out = dict(made_by="tests/reference/stft.py", versions=dict(numpy=np.__version__, scipy=scipy.__version__), hilbert=hilbert, rate=fs, x=x.tolist(), cases=cases)
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/stft.json"
path.write_text(json.dumps(out))
print(path.stat().st_size, [(c["first"], len(c["power"])) for c in cases])

"""VAR models: statsmodels' least squares, PDC/DTF by their formulae, MNE-Connectivity's state-space Granger causality.

Writes fixtures/golden/var.json. Series come from an integer generator that the Rust test repeats.
"""
import json, pathlib, platform, warnings
import mne, mne_connectivity, numpy as np, statsmodels
from mne_connectivity.spectral.epochs_multivariate import _GCEst
from statsmodels.tsa.api import VAR

warnings.simplefilter("ignore")
mne.set_log_level("error")
FREQS = [0.0, 0.02, 0.07, 0.11, 0.2, 0.33, 0.5]  # cycles per sample
A = np.zeros((2, 3, 3))
A[0] = [[0.9, 0.0, 0.0], [0.35, 0.5, 0.0], [0.0, 0.3, 0.4]]
A[1] = [[-0.6, 0.0, 0.0], [0.0, -0.3, 0.1], [0.0, -0.25, -0.2]]
SCALE, MEAN = np.array([1.0, 20.0, 0.3]), np.array([5.0, -300.0, 1.0])


def uniforms(seed, n):
    s, out = seed, np.empty(n)
    for i in range(n):
        s = (1664525 * s + 1013904223) % 2**32
        out[i] = s / 2**32 - 0.5
    return out


def simulate(seed, n):
    """(n, 3); 200 samples run in first. Innovations: sums of two uniform numbers, the third shares with the second."""
    u = uniforms(seed, 6 * (n + 200)).reshape(-1, 3, 2).sum(axis=2)
    y = np.zeros((n + 200, 3))
    for t in range(2, n + 200):
        e = u[t].copy()
        e[2] += 0.5 * u[t, 1]
        y[t] = A[0] @ y[t - 1] + A[1] @ y[t - 2] + e
    return MEAN + SCALE * y[200:]


def spectra(coefs, sigma):
    c = len(sigma)
    pdc, gpdc, dtf = [], [], []
    w = 1 / np.sqrt(np.diag(sigma))[:, None]
    for f in FREQS:
        Abar = np.eye(c) - sum(a * np.exp(-2j * np.pi * f * (k + 1)) for k, a in enumerate(coefs))
        H = np.linalg.inv(Abar)
        pdc.append(np.abs(Abar) / np.sqrt((np.abs(Abar) ** 2).sum(axis=0)))
        gpdc.append(w * np.abs(Abar) / np.sqrt(((w * np.abs(Abar)) ** 2).sum(axis=0)))
        dtf.append(np.abs(H) / np.sqrt((np.abs(H) ** 2).sum(axis=1, keepdims=True)))
    return {k: np.array(v).tolist() for k, v in dict(pdc=pdc, gpdc=gpdc, dtf=dtf).items()}


def mne_granger(coefs, sigma, seed):
    """MNE-Connectivity's own state-space formulae, on given coefficients; 11 bins 0 … 0.5."""
    est = _GCEst(2, 1, 11, 1, len(coefs))
    A_f = np.concatenate(coefs, axis=1)[None]
    ss_a, ss_k = est._full_var_to_iss(A_f)
    return est._iss_to_ugc(ss_a, A_f, ss_k, np.asarray(sigma)[None], np.array([seed]), np.array([1 - seed])).ravel().tolist()


def fit(x, p):
    res = VAR(x).fit(p)
    return dict(coefficients=res.coefs.tolist(), sigma=np.asarray(res.sigma_u).tolist(), aic=float(res.aic), bic=float(res.bic),
                **spectra(res.coefs, np.asarray(res.sigma_u)))


x = simulate(7, 900)
order = VAR(x).select_order(10)
pair = VAR(x[:, :2]).fit(4)
back = VAR(x[::-1, :2].copy()).fit(4)

# several epochs: least squares with a constant for each
epochs = [simulate(100 + e, 150) for e in range(5)]
p = 3
rows, target = [], []
for e, y in enumerate(epochs):
    for t in range(p, len(y)):
        rows.append(np.concatenate([np.eye(5)[e], *[y[t - k] for k in range(1, p + 1)]]))
        target.append(y[t])
rows, target = np.array(rows), np.array(target)
beta, *_ = np.linalg.lstsq(rows, target, rcond=None)
residual = target - rows @ beta
joint = dict(coefficients=[beta[5 + 3 * k : 8 + 3 * k].T.tolist() for k in range(p)],
             sigma=(residual.T @ residual / (len(rows) - rows.shape[1])).tolist())

# end to end: cross-spectra, their inverse FFT, Whittle's recursion; another estimator of the same quantity. All bins from 0 to
# half the rate: with fmin above 0 it takes what it is given for the whole circle and its frequencies are wrong
data = np.stack([simulate(1000 + e, 400).T[:2] for e in range(60)])
data -= data.mean(axis=2, keepdims=True)
con = mne_connectivity.spectral_connectivity_epochs(
    data, method=["gc", "gc_tr"], indices=(np.array([[0], [1]]), np.array([[1], [0]])), sfreq=400.0, mode="multitaper",
    mt_bandwidth=4.0, fmin=0, fmax=200, gc_n_lags=8, verbose=False)
freqs = np.array(con[0].freqs)
keep = np.arange(0, len(freqs), 16)
end_to_end = dict(frequency=freqs[keep].tolist(), gc=con[0].get_data()[:, keep].tolist(), gc_tr=con[1].get_data()[:, keep].tolist())

out = {
    "about": "coefficients [lag][to][from]; pdc, gpdc, dtf [frequency][to][from]; granger over 11 bins 0…0.5 cycles/sample",
    "versions": {"statsmodels": statsmodels.__version__, "mne_connectivity": mne_connectivity.__version__, "mne": mne.__version__,
                 "numpy": np.__version__, "python": platform.python_version()},
    "frequencies": FREQS,
    "head": x[:3].tolist(), "tail": x[-1].tolist(),
    "fit2": fit(x, 2), "fit6": fit(x, 6),
    "select": {"aic": [float(v) for v in order.ics["aic"]], "bic": [float(v) for v in order.ics["bic"]],
               "best_aic": int(order.aic), "best_bic": int(order.bic)},
    "pair": {"forward": [mne_granger(pair.coefs, pair.sigma_u, s) for s in (0, 1)],
             "reversed": [mne_granger(back.coefs, back.sigma_u, s) for s in (0, 1)]},
    "epochs": joint,
    "end_to_end": end_to_end,
}
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/var.json"
path.write_text(json.dumps(out, separators=(",", ":")) + "\n")
print(path.stat().st_size, out["select"], np.array(end_to_end["gc"]).round(3), np.array(end_to_end["gc_tr"]).round(3))

"""Phase-amplitude coupling by tensorpac 0.6.5, one trial and one pair of bands at a time -> fixtures/golden/pac.json

tensorpac divides a bin's sum by the count over all trials and phases it was given, so that batched values are wrong;
with one trial at a time they are right. `real`: trials of tensorpac's sEEG example (BSD), where that file is at hand:
python tests/reference/pac.py [seeg_data_pac.npz]
"""
import json, pathlib, sys
import numpy as np, tensorpac
from tensorpac import Pac
from tensorpac.methods import mean_vector_length, modulation_index, norm_direct_pac

def lcg(n, seed):
    out, s = np.empty(n), seed
    for i in range(n):
        s = (1664525 * s + 1013904223) & 0xFFFFFFFF
        out[i] = s / 4294967296 - 0.5
    return out

def three(phase, amplitude):
    p, a = phase[None, None], amplitude[None, None]
    one = lambda k: float(Pac(idpac=(k, 0, 0), verbose=False).fit(p, a, n_perm=0, verbose=False).squeeze())
    mi, mvl = one(2), one(1)
    assert np.isclose(mi, modulation_index(p, a).squeeze(), rtol=1e-12) and np.isclose(mvl, mean_vector_length(p, a).squeeze(), rtol=1e-12)
    return dict(mi=mi, mvl=mvl, ndpac=float(norm_direct_pac(p, a, p=1.0).squeeze()))

cases = []
for n, seed, depth in [(1800, 3, 0.0), (1800, 4, 0.5), (1800, 5, 1.5), (701, 6, 1.0)]:
    u = lcg(2 * n, seed)
    phase = 0.07 * np.arange(n) + u[:n]
    phase = phase - 2 * np.pi * np.floor((phase + np.pi) / (2 * np.pi))
    cases.append(dict(samples=n, seed=seed, depth=depth, **three(phase, 2 + depth * np.cos(phase - 0.4) + u[n:])))
out = dict(made_by="tests/reference/pac.py", versions=dict(numpy=np.__version__, tensorpac=tensorpac.__version__), cases=cases)

if len(sys.argv) > 1:
    import mne
    from scipy.signal import hilbert
    file = np.load(sys.argv[1])
    rate, x = float(file["sf"].squeeze()), file["data"][:20].astype(float)
    def analytic(lo, hi):
        y = mne.filter.filter_data(x - x.mean(-1, keepdims=True), rate, lo, hi, verbose="ERROR")
        return hilbert(y, N=mne.filter.next_fast_len(x.shape[1]), axis=-1)[:, : x.shape[1]]
    slow, fast = np.angle(analytic(2, 5)), np.abs(analytic(60, 90))
    trials = [three(p, a) for p, a in zip(slow, fast)]
    out["real"] = dict(trials=20, phase_hz=[2, 5], amplitude_hz=[60, 90], rate=rate, **{k: float(np.mean([t[k] for t in trials])) for k in trials[0]})
    print(out["real"])
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/pac.json"
path.write_text(json.dumps(out))
print(path.stat().st_size, cases)

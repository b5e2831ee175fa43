"""scipy.signal.windows.dpss(sym=False, norm=2) and the number of tapers MNE-Python keeps -> fixtures/golden/dpss.json"""
import json, pathlib
import mne, numpy as np, scipy
from mne.time_frequency.multitaper import dpss_windows
from scipy.signal.windows import dpss

cases = []
for n, nw, k, every in [(2, 0.5, 2, 1), (31, 2.0, 4, 1), (64, 2.5, 5, 1), (500, 4.0, 8, 3), (777, 1.5, 3, 7), (2000, 4.0, 7, 23), (2001, 2.0, 4, 23), (5000, 16.0, 31, 611)]:
    tapers, ratios = dpss(n, nw, k, sym=False, norm=2, return_ratios=True)
    kept = dpss_windows(n, nw, k, sym=False, low_bias=True)[0]
    cases.append(dict(n=n, nw=nw, every=every, tapers=tapers[:, ::every].tolist(), ratios=ratios.tolist(), low_bias=len(kept)))
out = dict(made_by="tests/reference/dpss.py", versions=dict(numpy=np.__version__, scipy=scipy.__version__, mne=mne.__version__), cases=cases)
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/dpss.json"
path.write_text(json.dumps(out))
print(path.stat().st_size, [c["low_bias"] for c in cases])

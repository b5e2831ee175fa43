"""scipy.signal.resample_poly and MNE's resample(method="polyphase") -> fixtures/golden/resample.json"""
import json, pathlib
import numpy as np, scipy, mne
from scipy import signal

mne.set_log_level("ERROR")
rng = np.random.default_rng(7)
x = np.round(20 + 10 * np.sin(np.arange(1200) / 30) + np.cumsum(rng.normal(size=1200)), 4)
cases = []
def case(n, up, down, padding, value=0.0):
    y = signal.resample_poly(x[:n], up, down, padtype=padding, **(dict(cval=value) if padding == "constant" else {}))
    cases.append(dict(n=n, up=up, down=down, padding=padding, value=value, y=y.tolist()))
for from_hz, to_hz in [(5000, 1000), (2048, 500), (256, 500), (25000, 1000), (10000, 1000), (5000, 725)]:
    case(600 if to_hz < from_hz else 200, to_hz, from_hz, "reflect")
case(601, 1, 5, "constant")
case(601, 125, 512, "constant", 3.0)
case(30, 1, 5, "reflect")      # shorter than half the filter: mirrored more than once
case(13, 2, 1, "reflect")
case(2, 1, 5, "reflect")
m = mne.filter.resample(x[:1000], up=1000.0, down=5000.0, method="polyphase")
assert np.array_equal(m, signal.resample_poly(x[:1000], 1, 5, padtype="reflect"))
out = dict(made_by="tests/reference/resample.py", versions=dict(numpy=np.__version__, scipy=scipy.__version__, mne=mne.__version__),
           x=x.tolist(), cases=cases, mne_5000_to_1000=m.tolist())
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/resample.json"
path.write_text(json.dumps(out))
print(path.stat().st_size)

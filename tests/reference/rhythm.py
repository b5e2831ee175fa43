"""scipy.signal.savgol_filter -> fixtures/golden/rhythm.json"""
import json, pathlib
import numpy as np, scipy
from scipy.signal import savgol_filter

rng = np.random.default_rng(3)
y = np.round(10 / np.arange(1, 61) + np.exp(-((np.arange(60) - 30) ** 2) / 20) + 0.1 * rng.normal(size=60), 4)
cases = []
for frame, order, derivative, step in [(11, 5, 0, 1.0), (11, 5, 1, 0.25), (11, 5, 2, 0.25), (5, 2, 0, 1.0), (21, 3, 1, 2.0), (59, 4, 0, 1.0)]:
    out = savgol_filter(y, frame, order, deriv=derivative, delta=step)
    cases.append(dict(frame=frame, order=order, derivative=derivative, step=step, out=out.tolist()))
out = dict(made_by="tests/reference/rhythm.py", versions=dict(numpy=np.__version__, scipy=scipy.__version__),
           savgol=dict(y=y.tolist(), cases=cases))
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/rhythm.json"
path.write_text(json.dumps(out))
print(path.stat().st_size)

"""scipy.signal.periodogram -> fixtures/golden/state.json"""
import json, pathlib
import numpy as np, scipy
from scipy.signal import periodogram

RATE, FIRST, LEN = 250.0, -300, 301  # -1200...0 ms
WINDOW = slice(50, 298)  # -1000...-12 ms
BANDS = dict(theta=[4, 8], alpha=[8, 13], beta=[13, 30])


def noise(seed, n):
    """Numerical Recipes' generator, -0.5...0.5."""
    out = []
    for _ in range(n):
        seed = (seed * 1664525 + 1013904223) % 2**32
        out.append(seed / 2**32 - 0.5)
    return np.array(out)


rows = []
for trial in range(3):
    for channel in range(2):
        x = 20 * noise(100 * trial + channel + 1, LEN) + 5 * channel
        x += 3 * (trial + 1) * np.sin(2 * np.pi * 10.3 * (FIRST + np.arange(LEN)) / RATE)
        hz, psd = periodogram(x[WINDOW], RATE, window="hamming", detrend="constant")
        for low, high in BANDS.values():
            rows.append(psd[(hz >= low) & (hz < high)].sum() * hz[1])
out = dict(made_by="tests/reference/state.py", versions=dict(numpy=np.__version__, scipy=scipy.__version__),
           power_uv2=rows)
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/state.json"
path.write_text(json.dumps(out) + "\n")

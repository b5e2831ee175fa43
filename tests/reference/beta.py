#!/usr/bin/env python3
"""Tails of F and t, ln gamma: tests/reference/beta.py > fixtures/golden/beta.json (SciPy; no random numbers)."""
import json
import numpy as np
import scipy
from scipy import special, stats

f = [[x, a, b, float(stats.f.sf(x, a, b))] for x in (0.2, 0.9, 1.0, 1.3, 2.5, 8.0, 60.0) for a in (1, 3.7, 24, 110.5) for b in (2, 9.3, 60, 400)]
t = [[x, n, float(stats.t.sf(x, n))] for x in (-2.0, 0.3, 1.0, 2.7, 6.0, 15.0) for n in (1, 2.5, 13, 80.4, 900)]
g = [[x, float(special.gammaln(x))] for x in (0.1, 0.5, 1.0, 1.5, 2.0, 7.3, 55.0, 400.25)]
print(json.dumps({"versions": {"scipy": scipy.__version__, "numpy": np.__version__}, "f": f, "t": t, "ln_gamma": g}))

#!/usr/bin/env python3
"""Reference numbers for clean::harmonics: a sine with an overtone and an LCG's noise, cleaned by numpy.linalg.lstsq with a constant
and 20 harmonics at a known frequency; only the harmonic part is subtracted.

tests/reference/harmonics_clean.py > fixtures/golden/harmonics_clean.json"""
import json, sys
import numpy as np

n, cycles, K, s, noise = 4000, 0.01000012, 20, 12345, []
for _ in range(n):
    s = (1103515245 * s + 12345) % (1 << 31)
    noise.append(s / (1 << 31) - 0.5)
t = np.arange(n)
x = 1e4 * np.sin(2 * np.pi * cycles * t + 0.7) + 30 * np.sin(2 * np.pi * 2 * cycles * t + 0.6) + 20 * np.array(noise)
C = np.column_stack([np.ones(n)] + [f(2 * np.pi * k * cycles * t) for k in range(1, K + 1) for f in (np.cos, np.sin)])
c = np.linalg.lstsq(C, x, rcond=None)[0]
y = x - C[:, 1:] @ c[1:]
json.dump({"versions": {"numpy": np.__version__, "python": sys.version.split()[0]}, "n": n, "cycles": cycles, "harmonics": K,
           "samples": [[int(i), float(y[i])] for i in range(0, n, 97)]}, sys.stdout, indent=1)
print()

"""NumPy and SciPy -> fixtures/golden/phase.json: ecHT by FFT, phastimate step by step, the state-space model as one dense Gaussian"""
import json, pathlib
import numpy as np, scipy
from scipy.linalg import solve_toeplitz
from scipy.signal import butter, filtfilt, firwin, freqz_sos, hilbert


def noise(seed, n):
    """Numerical Recipes' generator, -0.5...0.5."""
    out = []
    for _ in range(n):
        seed = (seed * 1664525 + 1013904223) % 2**32
        out.append(seed / 2**32 - 0.5)
    return np.array(out)


def signal(seed, n, rate, hz):
    return 10 * np.cos(2 * np.pi * hz * np.arange(n) / rate + 0.4) + 12 * np.cumsum(noise(seed, n)) ** 1 + 8 * noise(seed + 1, n)


def echt(x, rate, hz, band, order):
    """The transform of one window, by FFT on the shifted grid; calibrated by what it does to tones."""
    n = len(x)
    sos = butter(order, band, btype="band", fs=rate, output="sos")  # polynomials lose digits from order 3 on
    grid = np.fft.fftshift(np.fft.fftfreq(n, 1 / rate))
    h = np.fft.ifftshift(freqz_sos(sos, worN=grid, fs=rate)[1])
    def last(x):
        mask = np.zeros(n); mask[0] = 1; mask[1:(n + 1) // 2] = 2
        if n % 2 == 0: mask[n // 2] = 1
        return np.fft.ifft(np.fft.fft(x) * mask * h)[-1]
    t = (np.arange(n) - n + 1) / rate
    c, s = last(np.cos(2 * np.pi * hz * t)), last(np.sin(2 * np.pi * hz * t))
    plus, minus = (c + 1j * s) / 2, (c - 1j * s) / 2      # L(e^{i}) / 2, L(e^{-i}) / 2
    return last(x) * np.conj(plus) / (abs(plus) ** 2 + abs(minus) ** 2), np.degrees(np.angle(plus))


out = dict(made_by="tests/reference/phase.py", versions=dict(numpy=np.__version__, scipy=scipy.__version__), echt=[], phastimate=[])
for rate, hz, band, order, window in [(1000, 10, (7.5, 12.5), 2, 1.0), (1000, 10, (7.5, 12.5), 2, 0.75), (250, 9.7, (8, 13), 2, 2.052),
                                      (500, 21.3, (16, 26), 1, 0.5), (512, 6, (4, 8), 3, 1.3)]:
    n = round(window * rate)
    x = signal(3, n, rate, hz)
    z, raw = echt(x, rate, hz, band, order)
    out["echt"].append(dict(rate=rate, hz=hz, band=band, order=order, window=window, re=z.real, im=z.imag, uncalibrated_bias_deg=raw))


def phastimate(x, rate, band, taps, edge, order, hw):
    y = filtfilt(firwin(taps, band, pass_zero=False, fs=rate), 1.0, x, padlen=3 * (taps - 1))[edge:len(x) - edge]
    r = np.array([y[k:] @ y[:len(y) - k] for k in range(order + 1)])
    a = solve_toeplitz(r[:order], r[1:])
    y = list(y)
    for _ in range(edge + -(-hw // 2)):
        y.append(np.dot(a, y[-1:-order - 1:-1]))
    z = hilbert(np.array(y[-hw:]))[hw - 1 - -(-hw // 2)]
    return z


x = signal(11, 1500, 1000, 10.3)
for end, band, window, taps, edge, order, hw in [(500, (8, 13), 500, 129, 64, 30, 128), (777, (8, 13), 500, 129, 64, 30, 128), (1500, (8, 13), 500, 129, 64, 30, 128),
                                                 (900, (8, 13), 720, 193, 65, 24, 128), (901, (7, 12), 400, 101, 40, 12, 101)]:
    z = phastimate(x[end - window:end], 1000, band, taps, edge, order, hw)
    out["phastimate"].append(dict(end=end, band=band, window=window, taps=taps, edge=edge, order=order, hilbert=hw, re=z.real, im=z.imag))

# the state-space model: all states of all samples are one Gaussian
rate, n, freqs, rho, q, r = 100.0, 60, np.array([10.0, 1.0]), np.array([0.97, 0.9]), np.array([2.0, 5.0]), 3.0
y = signal(21, n, rate, 10)
w = 2 * np.pi * freqs / rate
d = 4
F = np.zeros((d, d)); Q = np.diag(np.repeat(q, 2)); P0 = np.diag(np.repeat(q / (1 - rho**2), 2))
for j in range(2):
    F[2 * j:2 * j + 2, 2 * j:2 * j + 2] = rho[j] * np.array([[np.cos(w[j]), -np.sin(w[j])], [np.sin(w[j]), np.cos(w[j])]])
cov = np.zeros((n, d, n, d))
for s in range(n):
    cov[s, :, s] = P0  # stationary
    for t in range(s + 1, n):
        cov[t, :, s] = F @ cov[t - 1, :, s]; cov[s, :, t] = cov[t, :, s].T
cov = cov.reshape(n * d, n * d)
H = np.kron(np.eye(n), np.array([[1.0, 0, 1, 0]]))


def posterior(m):
    h = H[:m]; s = h @ cov @ h.T + r * np.eye(m); k = np.linalg.solve(s, h @ cov).T
    return k @ y[:m], cov - k @ h @ cov


filtered = []
for m in (1, 2, 7, 30, 60):
    mean, p = posterior(m)
    i = (m - 1) * d
    filtered.append([m, mean[i], mean[i + 1], p[i, i], p[i, i + 1], p[i + 1, i + 1]])
mean, p = posterior(n)
second = (p + np.outer(mean, mean)).reshape(n, d, n, d)
A = sum(second[t, :, t] for t in range(n - 1)); C = sum(second[t, :, t] for t in range(1, n)); B = sum(second[t + 1, :, t] for t in range(n - 1))
em = []
for j in range(2):
    b = slice(2 * j, 2 * j + 2); turn = B[b, b][1, 0] - B[b, b][0, 1]; along = np.trace(B[b, b]); a = np.trace(A[b, b])
    damping = np.hypot(turn, along) / a
    em.append([np.arctan2(turn, along) * rate / 2 / np.pi, damping, (np.trace(C[b, b]) - damping**2 * a) / (2 * (n - 1))])
res = y - H @ mean
out["sspe"] = dict(rate=rate, y=list(y), oscillators=[list(v) for v in zip(freqs, rho, q)], noise=r, filtered=filtered, em=em,
                   em_noise=float((res @ res + np.trace(H @ p @ H.T)) / n))
# the circular SD of the angle of N((r, 0), I), by quadrature in the plane
g = np.linspace(-9, 9, 1801); dens = np.exp(-g**2 / 2) / np.sqrt(2 * np.pi)
sd = []
for ratio in (0.1, 0.5, 1.0, 2.0, 4.0, 6.8, 7.2, 12.0):
    u, v = np.meshgrid(g + ratio, g + 5e-3 + 0 * g, indexing="ij"); wgt = np.outer(dens, np.exp(-(g + 5e-3) ** 2 / 2) / np.sqrt(2 * np.pi)) * (g[1] - g[0]) ** 2
    sd.append([ratio, float(np.sqrt(-2 * np.log((wgt * u / np.hypot(u, v)).sum())))])
out["circular_sd"] = sd
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/phase.json"
path.write_text(json.dumps(out) + "\n")

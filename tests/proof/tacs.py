"""See tacs.sh."""
import os, pathlib, sys
import numpy as np
from scipy.signal import butter, sosfiltfilt, welch
from proof import CACHE, SHARED, STIMKIT, Verdict, Work, measured, median, note, run

SEEDS, ROUNDS = int(os.environ.get("SEEDS", 20)), int(os.environ.get("ROUNDS", 5))
METHODS = ["harmonics", "kalman", "comb", "parrm", "template"]


def recording(**options):
    """A recording of gen_tacs.py, made once: its header and its truth."""
    words = "".join(f"-{k}{v}" for k, v in sorted(options.items()))
    path = CACHE / f"tacs{words}.vhdr"
    if not path.with_suffix(".truth.npz").exists():
        flags = [w for k, v in options.items() for w in ([f"--{k.replace('_', '-')}"] if v is True else [f"--{k.replace('_', '-')}", v])]
        run([sys.executable, SHARED / "peers" / "gen_tacs.py", path, *flags])
    return path, np.load(path.with_suffix(".truth.npz"))


def samples(header):
    channels = next(int(line.split("=")[1]) for line in open(header) if line.startswith("NumberOfChannels"))
    return np.fromfile(header.with_suffix(".eeg"), "<f4").reshape(-1, channels).T.astype(float)


def clean(work, path, method, *flags):
    run([STIMKIT, "-q", "tacs", path, "--channels", "*", "--method", method, "-o", work / "out", "--force", *flags])
    return samples(work / "out" / path.stem / "cleaned.vhdr")


def band(x, rate, low, high):
    f, p = welch(x, rate, nperseg=4 * rate)
    return p[..., (f >= low) & (f < high)].sum(-1)


def recovery():
    verdict = Verdict("what", "error uV, median", "worst", "alpha over true", "attenuation dB")
    with Work() as work:
        for method in METHODS:
            errors, alphas, cuts = [], [], []
            for seed in range(1, SEEDS + 1):
                path, truth = recording(seed=seed)
                raw, eeg, cleaned = samples(path), truth["eeg"].astype(float), clean(work, path, method)
                errors.append(np.sqrt(np.mean((cleaned - eeg) ** 2)))
                alphas.append(float(band(cleaned, 1000, 8, 13)[0] / band(eeg, 1000, 8, 13)[0]))
                cuts.append(20 * np.log10(np.std(raw - eeg) / errors[-1]))
            cells = f"{np.median(errors):.3f}", f"{max(errors):.3f}", f"{np.median(alphas):.4f} ({min(alphas):.4f} to {max(alphas):.4f})", f"{np.median(cuts):.1f}"
            first = method == METHODS[0]
            good = np.median(errors) <= 0.25 and max(errors) <= 0.4 and max(abs(a - 1) for a in alphas) <= 0.01
            verdict.row(method, *cells, holds=good if first else None)
        for reference in [False, True]:
            found = []
            for seed in range(1, min(SEEDS, 5) + 1):
                options = dict(channels=32, quiet=60, seed=seed) | ({"average_reference": True} if reference else {})
                path, truth = recording(**options)
                sos = butter(4, [8, 12], "bandpass", fs=1000, output="sos")
                ours, eeg = (sosfiltfilt(sos, x)[:, 61_000:-1000] for x in (clean(work, path, "sass"), truth["eeg"].astype(float)))
                found.append([np.corrcoef(a, b)[0, 1] for a, b in zip(ours, eeg)])
            found = np.array(found)
            name = "sass, 32 channels, 60 s quiet" + (", average reference" if reference else "")
            cells = f"r = {np.median(found):.5f}", f"{found.min():.5f}", "", ""
            verdict.row(name, *cells, holds=bool(np.median(found) >= 0.999))
    verdict.end()


LSTSQ = """
import os, sys, numpy as np
path, channels, rate, hz, k = sys.argv[1], *map(float, sys.argv[2:])
x = np.fromfile(path, "<f4").reshape(-1, int(channels))
n = np.arange(len(x))[:, None]
turns = n * (hz / rate) * np.arange(1, int(k) + 1)
turns -= np.round(turns)
model = np.concatenate([np.ones((len(x), 1)), np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], 1)
del turns
beta = np.linalg.lstsq(model, x, rcond=None)[0]
beta[0] = 0
cleaned = (x - model @ beta).astype("<f4")
if os.environ.get("WRITE", "1") == "1":
    cleaned.tofile(sys.argv[1] + ".lstsq")
"""
PARRM = """
import sys, numpy as np
from pyparrm import PARRM
path, channels, rate, hz = sys.argv[1], *map(float, sys.argv[2:])
x = np.fromfile(path, "<f4").reshape(-1, int(channels)).T.astype(float)
parrm = PARRM(data=x, sampling_freq=rate, artefact_freq=hz, verbose=False)
parrm._period = rate / hz
parrm.create_filter(filter_half_width=int(50 * rate / hz), period_half_width=rate / hz / 1000)
parrm.filter_data().astype("<f4").tofile(path + ".parrm")
"""


def speed():
    verdict = Verdict("what", "wall s", "cpu s", "peak MB", "")
    shape = dict(channels=int(os.environ.get("CHANNELS", 64)), rate=5000, seconds=int(os.environ.get("SECONDS_LONG", 1200)))
    path, truth = recording(**shape)
    eeg, hz = path.with_suffix(".eeg"), float(truth["frequency"])
    with Work() as work:
        scripts = {}
        for name, text in [("lstsq", LSTSQ), ("parrm", PARRM)]:
            scripts[name] = work / f"{name}.py"
            scripts[name].write_text(text)
        told = [eeg, shape["channels"], shape["rate"], hz]
        tacs = [STIMKIT, "-q", "tacs", path, "--channels", "*", "-o", work / "ours", "--force"]

        def unwritten():
            os.environ["WRITE"] = "0"
            try:
                return measured(work, sys.executable, scripts["lstsq"], *told, 20)
            finally:
                del os.environ["WRITE"]

        sides = {
            "stimkit tacs --clean-only": lambda: measured(work, *tacs, "--clean-only"),
            "NumPy lstsq, 20 harmonics": lambda: measured(work, sys.executable, scripts["lstsq"], *told, 20),
            "PyPARRM": lambda: measured(work, sys.executable, scripts["parrm"], *told),
            "stimkit tacs --clean-only --no-cleaned": lambda: measured(work, *tacs, "--clean-only", "--no-cleaned"),
            "NumPy lstsq, nothing written": unwritten,
            "stimkit tacs, all tables": lambda: measured(work, *tacs),
        }
        # whom each is to be compared with
        against = {
            "NumPy lstsq, 20 harmonics": "stimkit tacs --clean-only",
            "PyPARRM": "stimkit tacs --clean-only",
            "NumPy lstsq, nothing written": "stimkit tacs --clean-only --no-cleaned",
        }
        runs = {side: [] for side in sides}
        failed = {}
        for i in range(ROUNDS):
            for side, go in sides.items():
                if side in failed or (side == "PyPARRM" and i > 0):  # it takes minutes: once
                    continue
                try:
                    eeg.read_bytes()  # into the page cache: the peers' memory drives it out
                    runs[side].append(go()[0])
                    note(f"{i + 1}/{ROUNDS} {side}: {runs[side][-1]['wall']:.2f} s")
                except SystemExit as error:
                    if side.startswith("stimkit"):
                        raise
                    failed[side] = str(error).splitlines()[-1][:60]
        for end in ("lstsq", "parrm"):
            pathlib.Path(f"{eeg}.{end}").unlink(missing_ok=True)
        for side in sides:
            if side in failed:
                verdict.row(side, "", "", "", f"failed: {failed[side]}")
                continue
            told, holds = "", median(runs[side], "mb") <= 150
            if side in against:
                ratio = median(runs[side], "wall") / median(runs[against[side]], "wall")
                told, holds = f"{ratio:.1f} times as long as {against[side]}", ratio >= 10
            verdict.row(side, f"{median(runs[side], 'wall'):.2f}", f"{median(runs[side], 'cpu'):.2f}", f"{median(runs[side], 'mb'):.0f}", told, holds=holds)
    verdict.end()


if sys.argv[1:] == ["speed"]:
    speed()
else:
    recovery()

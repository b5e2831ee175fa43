"""See phase.sh."""
import csv, os, pathlib, subprocess, sys
import numpy as np
from proof import Verdict, Work, note

SEEDS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
RATE, SKIP, FEW = 1000, 3000, 90_000
BOUNDS = {3: 32, 1: 36, 0.5: 45}  # deg, circular SD; 2 deg of bias
METHODS = {  # name: keys, samples (all, or what is affordable)
    "c-ecHT, frequency learnt": ("", None),
    "c-ecHT, told 10.2 Hz": ("frequency_hz = 10.2", None),
    "c-ecHT, told 10 Hz": ("frequency_hz = 10", None),
    "phastimate, 8-13 Hz": ("method = 'phastimate'\nband_hz = [8, 13]", FEW),
    "kalman": ("method = 'kalman'", None),
}


def estimate(x, keys):
    run = subprocess.run([os.environ["STIMKIT_PHASE"], str(RATE), keys], input=x.astype("<f8").tobytes(), capture_output=True)
    if run.returncode != 0:
        sys.exit(run.stderr.decode())
    return np.frombuffer(run.stdout, "<f8").reshape(-1, 3)


def score(phase_deg, truth):
    error = np.exp(1j * (np.radians(phase_deg) - truth[:len(phase_deg)]))[SKIP:]
    mean = error[np.isfinite(error)].mean()
    return np.degrees(np.angle(mean)), np.degrees(np.sqrt(-2 * np.log(abs(mean))))


def batch(file, work, keys):
    """Triggers at every peak by the recipe on the whole file: sample, phase, amplitude, and the gate."""
    out = pathlib.Path(work / "out")
    lines = ["channels = ['E1']", "refractory_ms = 0", *keys.splitlines()]
    sets = [x for line in lines for x in ("--set", "stream.phase." + line.replace(" = ", "="))]
    command = [os.environ["STIMKIT_BIN"], "run", "phase", str(file), "--channels", "E1", *sets, "-o", str(out), "--force"]
    run = subprocess.run(command, capture_output=True)
    if run.returncode != 0:
        sys.exit(run.stderr.decode())
    with open(out / file.stem / "triggers.csv") as rows:
        rows = list(csv.DictReader(rows))
    return [(int(r["sample"]), float(r["phase_deg"]), float(r["amplitude_uv"])) for r in rows], float(rows[0]["gate_uv"])


def crossings(series, gate):
    """The same, by the rule, from the values that came sample by sample."""
    phase, amplitude = series[:, 0], series[:, 1]
    off = np.mod(phase + 180, 360) - 180
    at = 1 + np.flatnonzero((off[:-1] < 0) & (off[1:] >= 0) & (off[1:] - off[:-1] < 180) & (amplitude[1:] >= gate))
    return [(int(i), phase[i], amplitude[i]) for i in at]


found, compared = {}, {}
with Work() as work:
    for ratio in BOUNDS:
        for seed in range(1, SEEDS + 1):
            note(f"ratio {ratio}, seed {seed}")
            file = pathlib.Path(work / "p.vhdr")
            script = os.path.join(os.environ["STIMKIT_SHARED"], "peers/gen_tacs.py")
            subprocess.run([sys.executable, script, str(file), "--phase", str(ratio), "--seed", str(seed)], check=True, capture_output=True)
            x = np.fromfile(file.with_suffix(".eeg"), "<f4").astype(float)
            truth = np.load(str(file.with_suffix("")) + ".truth.npz")["phase"]
            for name, (keys, samples) in METHODS.items():
                out = estimate(x[:samples], keys)
                # by the file: c-ecHT of every seed, the slow ones once
                if name == next(iter(METHODS)) or seed == 1 and "frequency_hz" not in keys:
                    whole, gate = batch(file, work, keys)
                    streamed = crossings(out, gate)
                    same = streamed == [row for row in whole if row[0] < len(out)] and len(streamed) > 100
                    rows = compared.setdefault(name, [])
                    rows.append((len(streamed), same))
                told = out[SKIP:, 2]
                sure = np.degrees(np.sqrt(-2 * np.log(np.exp(-np.radians(np.minimum(told, 500)) ** 2 / 2).mean())))
                found.setdefault((ratio, name), []).append((*score(out[:, 0], truth), sure))

verdict = Verdict("method", "ratio", "bias", "|bias|", "circular SD", "SD it tells itself")
for (ratio, name), rows in found.items():
    bias, sd, sure = np.array(rows).T
    judged = name == next(iter(METHODS))
    holds = bool(np.median(abs(bias)) <= 2 and np.median(sd) <= BOUNDS[ratio]) if judged else None
    own = f"{np.median(sure):.1f}" if np.isfinite(sure).all() else ""
    verdict.row(name, ratio, f"{np.median(bias):+.2f}", f"{np.median(abs(bias)):.2f}", f"{np.median(sd):.1f}", own, holds=holds)
for name, rows in compared.items():
    counts, same = zip(*rows)
    verdict.row(f"{name}: file and sample by sample, {len(rows)} recordings, {sum(counts)} triggers", "", "", "", "",
                "equal" if all(same) else f"{same.count(False)} differ", holds=all(same))
verdict.end()

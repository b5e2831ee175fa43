"""See markers.sh."""
import os, sys
import numpy as np
from proof import SHARED, STIMKIT, Verdict, Work, hour, measured, median, note, recording

ROUNDS, MEGABYTES = int(os.environ.get("ROUNDS", 5)), 150.0
PEER = SHARED / "peers" / "peer_mne_power.py"

JOB = """
[input]
channels = "eeg"
line = "off"
[[stream]]
use = "resample"
to_hz = 500
[cut]
every_ms = 4000
step_ms = {step}
{marker}
"""
WELCH = """
[[marker]]
use = "power"
spectrum_to_hz = 100
"""
CONNECT = """
[[marker]]
use = "connectivity"
mode = "multitaper"
nw = 2
measures = ["coh", "imcoh", "plv", "pli", "wpli", "wpli2_debiased"]
"""
AEC = """
[[marker]]
use = "connectivity"
measures = ["aec_orth"]
[marker.bands_hz]
alpha = [8, 13]
"""
MORLET = """
[[marker]]
use = "tfr"
range_hz = [4, 45]
step_hz = 1
n_cycles = 3.5
step_ms = 10
baseline = "none"
series = false
windows_ms = [[500, 3500]]
"""
# what our recipe is, its step, the peer's word, how many times faster at least (None: told, bound by reading)
MARKERS = {
    "empty": ("", 4000, "empty", None),
    "Welch": (WELCH, 2000, "welch", None),
    "connectivity": (CONNECT, 4000, "connect", 15.0),
    "envelopes": (AEC, 4000, "aec", 15.0),
    "Morlet": (MORLET, 4000, "morlet", 12.0),
}


def recipe(work, name):
    marker, step, _, _ = MARKERS[name]
    path = work / f"{name}.toml"
    path.write_text(JOB.format(step=step, marker=marker))
    return path


def ours(work, name, path):
    return measured(work, STIMKIT, "-q", "run", recipe(work, name), path, "-o", work / "ours", "--force")[0]


def peer(work, name, path, jobs):
    return measured(work, sys.executable, PEER, path, work / "mne", MARKERS[name][2], "--jobs", jobs)[0]


def against_the_peer():
    path = recording()
    verdict = Verdict("what", "wall s", "cpu s", "peak MB", "marker alone, s", "")
    with Work() as work:
        busy = os.getloadavg()[0]
        ours(work, "empty", path)  # the file into the page cache
        sides = {"stimkit": ours, "MNE, 1 job": lambda *a: peer(*a, 1), "MNE, 2 jobs": lambda *a: peer(*a, 2)}
        runs = {(side, name): [] for name in MARKERS for side in sides}
        for i in range(ROUNDS):
            for (side, name), done in runs.items():
                done.append(sides[side](work, name, path))
                note(f"{i + 1}/{ROUNDS} {side}, {name}: {done[-1]['wall']:.3f} s")
        alone = {}
        for (side, name), done in runs.items():
            alone[side, name] = [run["wall"] - empty["wall"] for run, empty in zip(done, runs[side, "empty"])]
            verdict.row(f"{side}, {name}", f"{median(done, 'wall'):.3f}", f"{median(done, 'cpu'):.3f}", f"{median(done, 'mb'):.1f}", f"{np.median(alone[side, name]):.3f}")
        for name, (_, _, _, bound) in list(MARKERS.items())[1:]:
            fastest = min(("MNE, 1 job", "MNE, 2 jobs"), key=lambda side: np.median(alone[side, name]))
            ratio = np.median(alone[fastest, name]) / np.median(alone["stimkit", name])
            whole = median(runs[fastest, name], "wall") / median(runs["stimkit", name], "wall")
            verdict.row(f"{name} against {fastest}", "", "", "", f"{ratio:.1f} times faster", f"whole process {whole:.1f} times; load before: {busy:.1f}", holds=bound and ratio >= bound)
            memory = max(run["mb"] for run in runs["stimkit", name])
            verdict.row(f"{name}: at most {MEGABYTES:.0f} MB", "", "", f"{memory:.1f}", "", "largest of all runs", holds=memory <= MEGABYTES)
        note("60 minutes")
        long = hour(path, work)
        for name in MARKERS:
            sixty = ours(work, name, long)
            verdict.row(f"{name}, 60 minutes", f"{sixty['wall']:.3f}", f"{sixty['cpu']:.3f}", f"{sixty['mb']:.1f}", "", "", holds=sixty["mb"] <= MEGABYTES)
    verdict.end()


def scaling():
    """Time and memory of the marker alone; the constants are least-squares fits through the origin of their formula."""
    verdict = Verdict("what", "channels", "minutes", "wall s", "marker alone, s", "peak MB", "")
    shapes = [(32, 10), (64, 10), (128, 10), (256, 10), (64, 30), (64, 60)]
    # per marker: work as a function of channels and minutes
    work_of = {"Welch": lambda c, m: c * m, "connectivity": lambda c, m: c * (c - 1) / 2 * m, "envelopes": lambda c, m: c * (c - 1) / 2 * m, "Morlet": lambda c, m: c * m}
    unit = {"Welch": "channel and minute", "connectivity": "pair and minute", "envelopes": "pair and minute", "Morlet": "channel and minute"}
    times = {name: [] for name in work_of}
    with Work() as work:
        for channels, minutes in shapes:
            path = recording(rate=500, seconds=60 * minutes, channels=channels)
            ours(work, "empty", path)
            empty = [ours(work, "empty", path) for _ in range(3)]
            for name in work_of:
                done = [ours(work, name, path) for _ in range(3)]
                alone = median(done, "wall") - median(empty, "wall")
                times[name].append((work_of[name](channels, minutes), alone))
                verdict.row(name, channels, minutes, f"{median(done, 'wall'):.3f}", f"{alone:.3f}", f"{median(done, 'mb'):.1f}", f"empty {median(empty, 'wall'):.3f} s, {median(empty, 'mb'):.1f} MB")
    for name, points in times.items():
        x, y = np.array(points).T
        constant = (x @ y) / (x @ x)
        verdict.row(name, "", "", "", f"{1e6 * constant:.2f} us per {unit[name]}", "", f"fits to {100 * np.max(np.abs(y - constant * x) / y):.0f} % at worst")
    verdict.end()


if sys.argv[1:] == ["scaling"]:
    scaling()
else:
    against_the_peer()

"""See speed.sh."""
import json, os, sys
import numpy as np
from proof import PEER, STIMKIT, Verdict, Work, hour, measured, median, note, recording

PAIRS = 5
SECONDS, TIMES_FASTER, MEGABYTES, GROWTH = 1.0, 8.0, 100.0, 1.1

READ_ALONE = """
[input]
channels = "eeg"
line = "off"
[cut]
every_ms = 10
step_ms = 60000
"""


def ours(work, recipe, path):
    took, _ = measured(work, STIMKIT, "-q", "run", recipe, path, "-o", work / "ours", "--force")
    stages = json.loads((work / "ours" / "run.json").read_text())["recordings"][0]["seconds"]
    return took | {"stages": stages}


def peer(work, jobs, path):
    took, said = measured(work, sys.executable, PEER, path, work / "mne", "--jobs", jobs)
    lines = [line.split() for line in said.splitlines()]
    return took | {"stages": {words[0]: float(words[1]) for words in lines if words[0] != "total"}}


def stages(runs):
    names = sorted(runs[0]["stages"], key=lambda k: -np.median([r["stages"][k] for r in runs]))
    return ", ".join(f"{k} {np.median([r['stages'][k] for r in runs]):.3f}" for k in names)


path = recording()
verdict = Verdict("what", "wall s", "cpu s", "peak MB", "")
with Work() as work:
    alone = work / "alone.toml"
    alone.write_text(READ_ALONE)
    busy = os.getloadavg()[0]
    ours(work, alone, path)  # the file into the page cache
    jobs = {
        "stimkit tep-1hz": lambda: ours(work, "tep-1hz", path),
        "MNE, 1 job": lambda: peer(work, 1, path),
        "MNE, 2 jobs": lambda: peer(work, 2, path),
        "reading and decoding alone": lambda: ours(work, alone, path),
    }
    runs = {name: [] for name in jobs}
    for i in range(PAIRS):
        for name, job in jobs.items():
            runs[name].append(job())
            note(f"{i + 1}/{PAIRS} {name}: {runs[name][-1]['wall']:.3f} s")
    mine, read = runs["stimkit tep-1hz"], runs["reading and decoding alone"]
    for name, these in runs.items():
        spread = f"{min(r['wall'] for r in these):.3f} to {max(r['wall'] for r in these):.3f} s"
        verdict.row(name, f"{median(these, 'wall'):.3f}", f"{median(these, 'cpu'):.3f}", f"{median(these, 'mb'):.1f}", spread)
    for name, these in runs.items():
        verdict.row("  its stages, s", "", "", "", f"{name}: {stages(these)}")
    fastest = min(("MNE, 1 job", "MNE, 2 jobs"), key=lambda name: median(runs[name], "wall"))
    ratios = [b["wall"] / a["wall"] for a, b in zip(mine, runs[fastest])]
    wall = median(mine, "wall")
    verdict.row(f"at most {SECONDS} s", f"{wall:.3f}", "", "", f"1-minute load before: {busy:.1f}", holds=wall <= SECONDS)
    verdict.row(f"at least {TIMES_FASTER:.0f} times faster", "", "", "", f"{np.median(ratios):.1f} times {fastest}, pairs {min(ratios):.1f} to {max(ratios):.1f}", holds=np.median(ratios) >= TIMES_FASTER)
    verdict.row("against reading alone", "", "", "", f"{wall / median(read, 'wall'):.2f} times its wall, {median(mine, 'cpu') / median(read, 'cpu'):.2f} times its cpu")
    short = max(run["mb"] for run in mine)
    verdict.row(f"at most {MEGABYTES:.0f} MB", "", "", f"{short:.1f}", "largest of all runs", holds=short <= MEGABYTES)
    note("60 minutes")
    sixty = ours(work, "tep-1hz", hour(path, work))
    verdict.row("60 minutes of recording", f"{sixty['wall']:.3f}", f"{sixty['cpu']:.3f}", f"{sixty['mb']:.1f}", f"{100 * (sixty['mb'] / short - 1):+.1f} % memory", holds=sixty["mb"] <= GROWTH * short)
verdict.end()

"""See roc.sh."""
import argparse, concurrent.futures, os, sys
import pandas as pd
from proof import SHARED, Verdict, Work, note, run, table

MODULATIONS = [0, 0.01, 0.03, 0.1, 0.3]
ALPHAS = [9.6, 10]
AREAS = {0.03: 0.9, 0.1: 0.99}

options = argparse.ArgumentParser()
options.add_argument("--seeds", type=int, default=20)
options.add_argument("--method", help="a recipe; without it, the verb's own")
options = options.parse_args()


def one(job):
    folder, modulation, alpha, seed = job
    path = folder / f"{modulation}-{alpha}-{seed}.vhdr"
    flags = ["--quiet", 60, "--am", modulation, "--alpha", alpha, "--seed", seed]
    run([sys.executable, SHARED / "peers" / "gen_tacs.py", path, *flags], env={**os.environ, "OMP_NUM_THREADS": "1"})
    verb = ["run", options.method] if options.method else ["tacs"]
    rows = table(*verb, path, "--table", "tacs")
    for made in folder.glob(f"{path.stem}.*"):
        made.unlink()
    assert len(rows) == 1, f"{len(rows)} rows for one channel and one episode"
    return modulation, alpha, rows.score[0], rows.verdict[0], rows.reason[0]


def area(modulated, clean):
    """The probability that a modulated one scores higher; ties count half."""
    difference = modulated.to_numpy()[:, None] - clean.to_numpy()[None, :]
    return ((difference > 0) + 0.5 * (difference == 0)).mean()


with Work() as folder:
    # every recording has a brain of its own
    jobs = [(folder, m, a, 1 + s + 1000 * i) for i, (m, a) in enumerate((m, a) for m in MODULATIONS for a in ALPHAS) for s in range(options.seeds)]
    note(f"{len(jobs)} recordings")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = pd.DataFrame(pool.map(one, jobs), columns=["modulation", "alpha", "score", "verdict", "reason"])

# a row without a score is no detection
rows.score = rows.score.fillna(0)
verdict = Verdict("modulation", "alpha", "of", "area and verdicts")
for modulation in MODULATIONS:
    for alpha in [ALPHAS, *([a] for a in ALPHAS)]:
        mine = rows[(rows.modulation == modulation) & rows.alpha.isin(alpha)]
        clean = rows[(rows.modulation == 0) & rows.alpha.isin(alpha)]
        share = mine.verdict.value_counts(normalize=True)
        found = ", ".join(f"{name} {100 * share[name]:.0f} %" for name in ("no_residue_found", "doubtful", "unusable") if name in share)
        pooled, label = len(alpha) > 1, " or ".join(f"{a} Hz" for a in alpha)
        if modulation == 0:
            detail, holds = found, share.get("no_residue_found", 0) >= 0.95 if pooled else None
        else:
            roc = area(mine.score, clean.score)
            detail, holds = f"area {roc:.3f}; {found}", roc >= AREAS[modulation] if pooled and modulation in AREAS else None
            if pooled and modulation == 0.1:
                holds = holds and share.get("doubtful", 0) == 1
        verdict.row(f"{modulation} %", label, f"{len(mine)}", detail, holds=holds)
verdict.end()

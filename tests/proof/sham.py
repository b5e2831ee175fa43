"""See sham.sh."""
import sys
import numpy as np
from proof import Verdict, Work, note, stimkit, table

RECORDINGS = int(sys.argv[1]) if len(sys.argv) > 1 else 200
BATCH = 50
LOW, HIGH = 0.03, 0.07
KINDS = ("gmfa", "roi", "channel")
# what a pulse leaves in a recording without a response; 0: nothing at all follows a pulse
NOTHING = ("--set", "pulse_uv=0", "--set", "decay_uv=0", "--set", "muscle_uv=0")


def peaks(recordings, *settings):
    """The peaks tables of that many sham recordings, as lists of (kind, found, p) per recording."""
    found = []
    for first in range(1, recordings + 1, BATCH):
        note(f"recordings {first} to {min(first + BATCH - 1, recordings)}")
        with Work() as work:
            files = [work / f"s{seed}.vhdr" for seed in range(first, min(first + BATCH, recordings + 1))]
            for seed, file in enumerate(files, first):
                stimkit("simulate", "tms", "--sham", "--channels", 32, "--rate", 1000, "--seconds", 90, "--seed", seed, *settings, "-o", file)
            found.append(table("tep", "--site", "m1", "--table", "peaks", *files))
    return found


def judge(verdict, label, tables, judged):
    for kind in KINDS:
        rows = [t[t.kind == kind] for t in tables]
        n = sum(map(len, rows))
        found = sum(r.found.sum() for r in rows) / n
        p = np.concatenate([r.p_signflip.dropna().to_numpy() for r in rows])
        small = (p < 0.05).mean()
        # recordings are independent, components and channels of one are not
        each = np.concatenate([r.dropna(subset=["p_signflip"]).groupby("recording").p_signflip.agg(lambda p: (p < 0.05).mean()).to_numpy() for r in rows])
        doubt = each.std(ddof=1) / np.sqrt(len(each))
        holds = LOW <= small <= HIGH if judged else None
        verdict.row(label, kind, n, f"{100 * found:.1f} %", f"{100 * small:.1f} +- {100 * doubt:.1f} %", f"{np.median(p):.2f}", holds=holds)


def only(tables, early):
    return [t[(t.component == "P30") == early] for t in tables]


verdict = Verdict("what follows a pulse", "kind", "components", "found", "p < 0.05", "median p")
judge(verdict, "nothing", peaks(RECORDINGS, *NOTHING), judged=True)
left = peaks(RECORDINGS)
judge(verdict, "artefacts, at P30", only(left, True), judged=False)
judge(verdict, "artefacts, later", only(left, False), judged=False)
verdict.end()

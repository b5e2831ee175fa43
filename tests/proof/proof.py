"""What the long proofs share: recordings of the generator, both programs, EDF cut and repeated, one table at the end."""
import json, os, pathlib, re, shutil, subprocess, sys, tempfile
import numpy as np
import pandas as pd

SHARED = pathlib.Path(os.environ["STIMKIT_SHARED"])
CACHE = pathlib.Path(os.environ["STIMKIT_CACHE"])
STIMKIT = os.environ["STIMKIT_BIN"]
PEER = SHARED / "peers" / "peer_mne_tep.py"
IDENTITY = ["recording", "subject", "session", "task", "run", "condition"]


def recording(rate=5000, seconds=600, **options):
    """A recording of gen_tms.py, made once: its path. The truth lies beside it."""
    words = "".join(f"-{k}{v}" for k, v in sorted(options.items()))
    path = CACHE / f"tms-{rate}hz-{seconds}s{words}.edf"
    if not truth_file(path).exists():
        flags = [w for k, v in options.items() for w in (f"--{k}", str(v))]
        scratch = CACHE / f"{path.stem}.{os.getpid()}.part"
        note(f"making {path.name}")
        run([sys.executable, SHARED / "peers" / "gen_tms.py", scratch, "--rate", rate, "--seconds", seconds, *flags])
        scratch.rename(path)
        truth_file(scratch).rename(truth_file(path))  # last: it marks the recording as complete
    return path


def truth_file(path):
    return path.with_name(path.name + ".truth.npz")


def truth(path):
    return np.load(truth_file(path))


def note(text):
    print(text, file=sys.stderr, flush=True)


def run(words, **options):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\nexit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def stimkit(*words):
    """Runs the program; its stdout."""
    return run([STIMKIT, "-q", *words])


def table(*words):
    """A table that the program prints."""
    with tempfile.TemporaryFile("w+") as out:
        subprocess.run([STIMKIT, "-q", *map(str, words)], stdout=out, check=True)
        out.seek(0)
        return pd.read_csv(out)


class Work:
    """A scratch folder in the cache, gone at the end."""

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="work-", dir=CACHE))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def ours(path, out, recipe, *flags):
    """Runs a recipe: time in ms, channels (time x channel, uV), GMFA, number of trials, the names of the channels."""
    stimkit("run", recipe, path, "-o", out, "--force", *flags)
    tep = pd.read_csv(out / path.stem / "tep.csv")
    field = pd.read_csv(out / path.stem / "field.csv")
    names = [c for c in tep.columns if c not in [*IDENTITY, "n_trials", "time_ms", "filled"]]
    return tep.time_ms.to_numpy(), tep[names].to_numpy(), field.field_uv.to_numpy(), int(tep.n_trials[0]), names


def mne(path, out, band=None, jobs=1):
    """The same by the peer's script, with its band-pass at `band` Hz instead of 1-80."""
    script = PEER
    if band:
        text, changed = re.subn(r"raw\.filter\(1, 80,", f"raw.filter({band[0]}, {band[1]},", PEER.read_text())
        if changed != 1:
            sys.exit(f"{PEER} has no raw.filter(1, 80, ...) to patch")
        out.mkdir(parents=True, exist_ok=True)
        script = out / "peer.py"
        script.write_text(text)
    said = run([sys.executable, script, path, out, "--jobs", jobs])
    tep = pd.read_csv(out / "tep.csv")
    field = pd.read_csv(out / "field.csv")
    names = [c for c in tep.columns if c != "time"]
    trials = int(re.search(r"(\d+) epochs", said).group(1))
    return tep.time.to_numpy() * 1e3, tep[names].to_numpy(), field.gmfa_uv.to_numpy(), trials, names


class Edf:
    """Header and records of an EDF+ file whose last signal holds the annotations, one record per second."""

    def __init__(self, path):
        self.file = open(path, "rb")
        head = self.file.read(256)
        self.signals = int(head[252:256])
        self.bytes = int(head[184:192])
        self.records = int(head[236:244])
        assert float(head[244:252]) == 1, "records of one second"
        self.file.seek(0)
        self.head = self.file.read(self.bytes)
        counts = self.head[256 + self.signals * 216 : 256 + self.signals * 224]
        counts = [int(counts[8 * i : 8 * i + 8]) for i in range(self.signals)]
        self.record, self.tal = 2 * sum(counts), 2 * counts[-1]

    def write(self, path, pieces):
        """Strings together ranges of records; onsets of records and annotations are renumbered."""
        count = sum(len(piece) for piece in pieces)
        with open(path, "wb") as out:
            out.write(self.head[:236] + str(count).ljust(8).encode() + self.head[244:])
            at = 0
            for piece in pieces:
                self.file.seek(self.bytes + piece.start * self.record)
                for was in piece:
                    data = self.file.read(self.record)
                    shift = at - was
                    tal = re.sub(
                        rb"(?<![^\x00])\+([0-9]+)((?:\.[0-9]+)?)\x14",
                        lambda m: b"+%d%s\x14" % (int(m[1]) + shift, m[2]),
                        data[-self.tal :].rstrip(b"\x00"),
                    )
                    assert len(tal) < self.tal
                    out.write(data[: -self.tal] + tal.ljust(self.tal, b"\x00"))
                    at += 1


# Starts a program and tells what it took. A process of its own, since a program's peak memory counts from its parent's size
# when it was started, and this Python is large.
MEASURE = """
import json, os, sys, time
start = time.perf_counter()
child = os.fork()
if child == 0:
    os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.execv(sys.argv[2], sys.argv[2:])
_, status, used = os.wait4(child, 0)
wall = time.perf_counter() - start
json.dump(dict(wall=wall, cpu=used.ru_utime + used.ru_stime, mb=used.ru_maxrss / 1024, status=status), sys.stdout)
"""

def measured(work, *words):
    said = work / "said"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", MEASURE, said, *map(str, words)], capture_output=True, text=True, check=True)
    took = json.loads(done.stdout)
    if took.pop("status"):
        sys.exit(f"{' '.join(map(str, words))} failed\n{said.read_text()}{done.stderr}")
    return took, said.read_text()


def median(runs, key):
    return float(np.median([run[key] for run in runs]))


def hour(path, work):
    """The recording six times in a row: 60 minutes."""
    long = work / "hour.edf"
    edf = Edf(path)
    edf.write(long, [range(edf.records)] * 6)
    return long


class Verdict:
    """Rows of the one table, and whether all bounds hold."""

    def __init__(self, *columns):
        self.columns, self.rows, self.missed = columns, [], 0

    def row(self, *cells, holds=None):
        """`holds`: True, False, or None for a number that is told, not judged."""
        said = "" if holds is None else "ok" if holds else "MISSED"  # never `is False`: NumPy has a False of its own
        self.missed += said == "MISSED"
        self.rows.append([said, *map(str, cells)])

    def end(self):
        rows = [["", *self.columns], *self.rows]
        longest = max(map(len, rows))
        rows = [row + [""] * (longest - len(row)) for row in rows]
        wide = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for row in rows:
            print("  ".join(cell.ljust(w) for cell, w in zip(row, wide)).rstrip())
        sys.exit(1 if self.missed else 0)

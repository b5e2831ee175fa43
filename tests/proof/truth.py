"""See truth.sh."""
import sys
import numpy as np
from scipy.signal import butter, sosfiltfilt
from proof import Edf, Verdict, Work, mne, note, ours, recording, truth

SEEDS = range(1, int(sys.argv[1]) + 1 if len(sys.argv) > 1 else 9)
SIZES = (32, 64, 128, 256)
# in half a minute of blinks a frontal channel may fail a fifth of the trials: here every subset keeps every channel
SAME_CHANNELS = ("--set", "epoch.bad-channels.max_fail_fraction=1")
SECOND_ORDER = dict(N=2, Wn=80, output="sos")


def true_tep(path):
    """The response low-passed at 80 Hz as the recipe does it: forward and backward, silence around it; 1 kHz from 0 ms on."""
    true = truth(path)
    fs = int(true["fs"])
    silence = fs // 2
    x = np.pad(true["tep"], ((0, 0), (silence, silence)))
    x -= x.mean(0)
    y = sosfiltfilt(butter(fs=fs, **SECOND_ORDER), x, axis=1)
    return y[:, silence : silence + fs // 2 : fs // 1000].T


def error(path, result):
    """Root mean square over 20-300 ms and all channels, uV; number of trials."""
    ms, tep, _, trials, _ = result
    after = (ms >= 20 - 1e-6) & (ms <= 300 + 1e-6)
    apart = tep[after] - true_tep(path)[20:301]
    return np.sqrt((apart**2).mean()), trials


def against_the_peer(verdict, path, label, judged=True):
    with Work() as work:
        note(f"{path.stem}: both programs")
        a, n_a = error(path, ours(path, work / "ours", "tep"))
        same, n_same = error(path, ours(path, work / "same", "tep-1hz"))
        b, n_b = error(path, mne(path, work / "mne"))
    verdict.row(label, "tep", n_a, f"{a:.4f}", f"{a / b:.3f} of MNE's", holds=a <= b if judged else None)
    verdict.row(label, "tep-1hz", n_same, f"{same:.4f}", "")
    verdict.row(label, "MNE", n_b, f"{b:.4f}", "")


def against_ourselves(verdict, paths):
    """More recordings, with tep-1hz in the peer's place, which it equals (parity.sh)."""
    ratios = []
    for path in paths:
        with Work() as work:
            ratios.append(error(path, ours(path, work, "tep"))[0] / error(path, ours(path, work, "tep-1hz"))[0])
    verdict.row(f"clean, {len(paths)} recordings", "tep", "", "", f"{np.median(ratios):.3f} of tep-1hz's, {min(ratios):.3f} to {max(ratios):.3f}")


def nested(path):
    """Mean square error times the number of trials, for each size over all disjoint stretches of that many pulses."""
    onsets = truth(path)["onsets"] / float(truth(path)["fs"])
    edf = Edf(path)
    found = {}
    with Work() as work:
        for size in SIZES:
            for i in range(max(SIZES) // size):
                first, last = onsets[i * size], onsets[(i + 1) * size - 1]
                begin = max(int(np.floor(first)) - 2, 0)
                piece = work / f"n{size}-{i}.edf"
                edf.write(piece, [range(begin, min(int(np.ceil(last)) + 2, edf.records))])
                rms, trials = error(path, ours(piece, work / "ours", "tep", *SAME_CHANNELS))
                found.setdefault(size, []).append((rms**2, trials))
                piece.unlink()
    return found


def falls_with_the_root(verdict, paths):
    pooled = {size: [] for size in SIZES}
    for path in paths:
        note(f"{path.stem}: nested subsets")
        for size, these in nested(path).items():
            pooled[size].append(these)
    # each recording counts once; a stretch's error scaled to the number of trials that it kept
    scaled = {size: np.array([np.mean([e * n for e, n in these]) for these in of]) for size, of in pooled.items()}
    centre = np.exp(np.mean([np.log(s.mean()) / 2 for s in scaled.values()]))
    for size in SIZES:
        kept = np.mean([n for these in pooled[size] for _, n in these])
        rms = np.sqrt(np.mean([e for these in pooled[size] for e, _ in these]))
        root = np.sqrt(scaled[size].mean())
        doubt = scaled[size].std(ddof=1) / np.sqrt(len(paths)) / 2 / root if len(paths) > 1 else np.nan
        verdict.row(
            f"clean, {size} pulses", "tep", f"{kept:.0f}", f"{rms:.4f}",
            f"error x root n {root:.3f} +- {doubt:.3f} uV, {100 * (root / centre - 1):+.1f} %", holds=abs(root / centre - 1) <= 0.1,
        )
    slope = np.polyfit(np.log(SIZES), [np.log(s.mean()) / 2 for s in scaled.values()], 1)[0] - 0.5
    verdict.row("clean, all sizes", "tep", "", "", f"error falls with n to the power {slope:.3f}")


verdict = Verdict("recording", "what", "trials", "error uV", "")
against_the_peer(verdict, recording(), "decay and muscle")
against_the_peer(verdict, recording(decay=0, muscle=0), "clean")
for rate in (10000, 25000):
    against_the_peer(verdict, recording(rate, 60), f"decay and muscle, 60 s, {rate} Hz")
    against_the_peer(verdict, recording(rate, 60, decay=0, muscle=0), f"clean, 60 s, {rate} Hz")
several = [recording(decay=0, muscle=0, **({} if seed == 1 else {"seed": seed, "channels": 32})) for seed in SEEDS]
against_ourselves(verdict, several)
falls_with_the_root(verdict, several)
verdict.end()

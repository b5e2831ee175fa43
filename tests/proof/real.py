"""See real.sh."""
import sys
import numpy as np
import pandas as pd
from proof import SHARED, Verdict, Work, stimkit

import mne
from mne_connectivity import spectral_connectivity_epochs

mne.set_log_level("ERROR")
CUT = "[input]\nchannels = {channels}\nline = 'off'\n[cut]\n{cut}\n{markers}"
MEASURES = ["coh", "imcoh", "plv", "ciplv", "ppc", "pli", "pli2_unbiased", "dpli", "wpli", "wpli2_debiased"]


def tables(work, path, channels, cut, markers, *flags):
    recipe = work / "recipe.toml"
    recipe.write_text(CUT.format(channels=channels, cut=cut, markers=markers))
    stimkit("run", recipe, path, "-o", work / "out", "--force", *flags)
    return lambda name: pd.read_csv(work / "out" / path.stem / f"{name}.csv")


def wide(table, column, axis, names):
    """(channel x axis) in the order of `names`."""
    return table.pivot(index="channel", columns=axis, values=column).loc[names].to_numpy()


def windows(x, length, step):
    return np.stack([x[:, i : i + length] for i in range(0, x.shape[1] - length + 1, step)])


def compare(verdict, what, number, ours, theirs, bound):
    """`number`: one value of each side to look at."""
    apart = np.nanmax(np.abs(ours - theirs)) / np.nanmax(np.abs(theirs))
    verdict.row(what, f"{number(ours):.9g}", f"{number(theirs):.9g}", f"{apart:.1e}", holds=apart <= bound)


def connectivity(verdict, label, table, epochs, rate, names, band):
    lo, hi = band
    n = len(names)
    for measure in MEASURES:
        theirs = spectral_connectivity_epochs(epochs, method=measure, mode="multitaper", mt_bandwidth=4 * rate / epochs.shape[2], sfreq=rate, fmin=lo, fmax=hi - 1e-9, verbose=False)
        theirs = theirs.get_data("dense").mean(-1)  # over the band's bins, by us
        rows = table[table.measure == measure]
        a = rows.channel_a.map(names.index).to_numpy()
        b = rows.channel_b.map(names.index).to_numpy()
        # the peer's seed is the later channel: what has a sign turns round
        other = theirs[b, a] * (-1 if measure == "imcoh" else 1)
        other = 1 - other if measure == "dpli" else other
        compare(verdict, f"{label}, {measure} {names[a[0]]}-{names[b[0]]}, {lo}-{hi} Hz, {n * (n - 1) // 2} pairs", lambda v: v[0], rows.value.to_numpy(), other, 1e-8)


def eeglab(verdict, work):
    path = SHARED / "data" / "eeglab-sample" / "eeglab_data.set"
    raw = mne.io.read_raw_eeglab(path, preload=True)
    names = [c for c in raw.ch_names if not c.startswith("EOG")]
    x, rate = raw.get_data(names) * 1e6, raw.info["sfreq"]
    length = int(4 * rate)
    found = tables(work, path, '"eeg"', "every_ms = 4000\nstep_ms = 2000", '[[marker]]\nuse = "power"\nspectrum_to_hz = 64')
    psd, hz = mne.time_frequency.psd_array_welch(x, rate, n_fft=length, n_overlap=length // 2, n_per_seg=length, window="hamming", fmax=64)
    oz = names.index("Oz")
    peak = int(np.argmax(psd[oz, 28:52])) + 28
    compare(verdict, f"eeglab_data, Welch, Oz at {hz[peak]:g} Hz, uV2/Hz", lambda v: v[oz, peak], wide(found("spectrum"), "psd_uv2_per_hz", "frequency_hz", names), psd, 1e-10)
    alpha = (hz >= 8) & (hz < 13)
    ours = found("power")
    ours = ours[ours.band == "alpha"].set_index("channel").loc[names].power_uv2.to_numpy()
    compare(verdict, "eeglab_data, alpha power at Oz, uV2", lambda v: v[oz], ours, psd[:, alpha].sum(1) * (hz[1] - hz[0]), 1e-10)

    found = tables(work, path, '"eeg"', 'event = "square"\nwindow_ms = [-1000, 2000]', '[[marker]]\nuse = "tfr"\nrange_hz = [4, 45]\nn_cycles = 3.5\nstep_ms = 62.5\nbaseline = "none"\n')
    events, ids = mne.events_from_annotations(raw)
    epochs = mne.Epochs(raw.copy().pick(names), events, ids["square"], -1, 2, baseline=None, preload=True)
    freqs = np.arange(4, 46.0)
    power, itc = epochs.compute_tfr("morlet", freqs=freqs, n_cycles=3.5, return_itc=True, average=True, decim=8)
    table = found("tfr")
    shape = (len(names), len(freqs), -1)
    ours_itc, ours_power = table.itpc.to_numpy().reshape(shape), table.power_uv2_per_hz.to_numpy().reshape(shape)
    cell = (oz, int(np.argmin(abs(freqs - 10))), int(np.argmin(abs(power.times - 0.25))))
    compare(verdict, f"eeglab_data, {len(epochs)} trials, Morlet power at Oz, 10 Hz, 250 ms, uV2/Hz", lambda v: v[cell], ours_power, power.data * 1e12 / rate, 1e-8)
    compare(verdict, "eeglab_data, ITPC at Oz, 10 Hz, 250 ms", lambda v: v[cell], ours_itc, itc.data, 1e-8)

    some = ["F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
    marker = f'[[marker]]\nuse = "connectivity"\nmeasures = {MEASURES}\n[marker.bands_hz]\nalpha = [8, 13]'
    found = tables(work, path, str(some), "every_ms = 4000", marker)
    picked = x[[names.index(c) for c in some]]
    connectivity(verdict, "eeglab_data", found("connectivity"), windows(picked, length, length), rate, some, (8, 13))


def meegkit(verdict, work):
    path = SHARED / "data" / "eeg-meegkit" / "eeg_raw.npy"
    x, rate = np.load(path), 250.0  # the file states no rate; neither side depends on which it is
    names = [f"ch{i + 1}" for i in range(len(x))]
    flags = ("--rate", "250", "--unit", "uV")
    found = tables(work, path, str(names), "every_ms = 4000\nstep_ms = 2000", '[[marker]]\nuse = "power"\nspectrum_to_hz = 125\n[marker.psd]\nmethod = "multitaper"\nnw = 4', *flags)
    psd, hz = mne.time_frequency.psd_array_multitaper(windows(x, 1000, 500), rate, bandwidth=8 * rate / 1000, normalization="full")
    ours = wide(found("spectrum"), "psd_uv2_per_hz", "frequency_hz", names)
    ten = int(np.argmin(abs(hz - 10)))
    compare(verdict, "eeg_raw, multitaper, ch1 at 10 Hz, uV2/Hz", lambda v: v[0, ten], ours, psd.mean(0), 1e-10)
    marker = f'[[marker]]\nuse = "connectivity"\nmeasures = {MEASURES}\n[marker.bands_hz]\nbeta = [13, 30]'
    found = tables(work, path, str(names), "every_ms = 4000", marker, *flags)
    connectivity(verdict, "eeg_raw", found("connectivity"), windows(x, 1000, 1000), rate, names, (13, 30))


def tensorpac(verdict, work):
    from tensorpac import Pac
    data = np.load(SHARED / "data" / "pac-tensorpac" / "seeg_data_pac.npz")
    x, rate = data["data"].astype(float)[:20], float(data["sf"])
    path = work / "seeg.npy"
    np.save(path, x[:, None, :])
    marker = '[[marker]]\nuse = "pac"\nphase_hz = [[2, 5]]\namplitude_hz = [[60, 90]]\nsurrogates = 0\nmeasures = ["mi"]'
    found = tables(work, path, '["ch1"]', "every_ms = 1000", marker, "--rate", f"{rate:g}", "--unit", "uV")
    ours = float(found("pac").value.iloc[0])
    pac = Pac(idpac=(2, 0, 0), f_pha=[2, 5], f_amp=[60, 90], dcomplex="hilbert", verbose=False)
    theirs = np.mean([pac.filterfit(rate, trial[None], n_jobs=1) for trial in x])
    verdict.row("seeg_data_pac, 20 trials, modulation index, 2-5 Hz, 60-90 Hz", f"{ours:.9g}", f"{theirs:.9g}", "each with its own filters")


verdict = Verdict("what", "stimkit", "peer", "largest difference / largest value")
with Work() as work:
    eeglab(verdict, work)
    meegkit(verdict, work)
    try:
        tensorpac(verdict, work)
    except ImportError:
        print("SKIPPED: tensorpac is not installed", file=sys.stderr)
verdict.end()

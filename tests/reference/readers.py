#!/usr/bin/env python3
"""Reference values of real recordings, as other readers see them.

usage: readers.py DATA > fixtures/golden/readers.json

DATA is the folder of recordings (not part of this repository; some are GPL and are only read in place). For each EDF, BDF, BrainVision and EEGLAB file:
channels, rates, units, segments, annotations, and of every channel sum, smallest, largest and a dozen samples, in µV where its unit is volts.

EDF and BDF come from edfio (samples and annotations are decoded lazily and plainly by the specification), cross-checked here against
pyedflib and MNE-Python where those read the file; BioSemi's triggers come from MNE-Python, and so do
BrainVision and EEGLAB (of epoched datasets MNE-Python gives the samples, SciPy the events as they are stored).
"""
import json
import math
import sys
import warnings
from pathlib import Path

import edfio
import mne
import numpy as np
import pyedflib
import scipy.io

warnings.simplefilter("ignore")
mne.set_log_level("ERROR")

VOLTS = {"uV": 1.0, "µV": 1.0, "μV": 1.0, "mV": 1e3, "V": 1e6, "nV": 1e-3}


def chosen(n):
    """Deterministic positions: both ends, and a spread that does not fall into step with records."""
    spread = [(k * 7919 * max(1, n // 4001)) % n for k in range(10)]
    return sorted({0, 1, n - 2, n - 1, *spread} & set(range(n)))


# Copyleft recordings are read in place; of them only sums are kept, no sample.
SUMS_ONLY = ("edf-edfReader/", "mep-tmsemgkit/", "eeg-restingIAF/")


def channel(name, hz, unit, x):
    at = chosen(len(x))
    return {
        "name": name,
        "hz": hz,
        "unit": unit,
        "n": len(x),
        "sum": math.fsum(x),
        # a weighted sum: samples out of order would change it
        "ramp": math.fsum(x * (np.arange(len(x)) % 997)),
        "min": float(np.min(x)),
        "max": float(np.max(x)),
        "at": at,
        "values": [float(x[i]) for i in at],
    }


def read_edf(path):
    bdf = path.read_bytes()[:1] == b"\xff"
    file = (edfio.read_bdf if bdf else edfio.read_edf)(str(path))
    channels = []
    for s in file.signals:
        unit = s.physical_dimension
        factor = VOLTS.get(unit, 1.0)
        limits_ok = s.digital_min < s.digital_max and s.physical_min != s.physical_max
        x = np.asarray(s.data if limits_ok else s.digital, dtype=float) * (factor if limits_ok else 1.0)
        c = channel(s.label, s.sampling_frequency, "uV" if unit in VOLTS else unit, x)
        if limits_ok:
            # full precision: edfio computes in float64 from the digital values
            gain = (s.physical_max - s.physical_min) / (s.digital_max - s.digital_min)
            y = ((s.digital.astype(float) - s.digital_min) * gain + s.physical_min) * factor
            assert np.max(np.abs(x - y)) <= 1e-9 * abs(s.physical_max - s.physical_min) * factor
            c["full"] = abs(s.physical_max - s.physical_min) * factor
        channels.append(c)
    notes = [[a.onset, a.duration or 0.0, a.text] for a in file.annotations]
    out = {"reader": "edfio", "channels": channels, "annotations": notes}
    if bdf and "Status" in [c["name"] for c in channels]:
        raw = mne.io.read_raw_bdf(str(path), preload=True)
        found = mne.find_events(raw, "Status", shortest_event=1, mask=0xFFFF, mask_type="and", initial_event=False)
        out["triggers"] = [[int(e[0]), int(e[2])] for e in found]
    # a second reader, where it takes the file
    try:
        with pyedflib.EdfReader(str(path)) as second:
            agree = second.signals_in_file == len(channels)
            for k, s in enumerate(file.signals):
                x = second.readSignal(k)
                agree &= len(x) == channels[k]["n"]
                factor = VOLTS.get(s.physical_dimension, 1.0)
                if agree and "full" in channels[k]:
                    worst = max(abs(x[i] * factor - v) for i, v in zip(channels[k]["at"], channels[k]["values"]))
                    agree &= worst <= 1e-9 * channels[k]["full"]
            out["pyedflib"] = bool(agree)
            onsets, durations, texts = second.readAnnotations()
            out["pyedflib_annotations"] = [[float(o), max(0.0, float(d)), t] for o, d, t in zip(onsets, durations, texts)]
    except Exception as e:  # noqa: BLE001
        out["pyedflib"] = f"refuses: {type(e).__name__}"
    return out


def read_brainvision(path):
    raw = mne.io.read_raw_brainvision(str(path), preload=True, misc=[], eog=[])
    channels = []
    for k, name in enumerate(raw.ch_names):
        unit = raw._orig_units[name]
        # MNE-Python gives volts and siemens, and takes a unit that it does not know ("n/a") for microvolts
        factor = 1e6 if unit in VOLTS or unit in ("µS", "uS", "n/a") else 1.0
        channels.append(channel(name, raw.info["sfreq"], "uV" if unit in VOLTS else unit, raw.get_data(picks=[k])[0] * factor))
    notes = [[float(a["onset"]), float(a["duration"]), a["description"]] for a in raw.annotations]
    return {"reader": "mne", "channels": channels, "annotations": notes}


def read_eeglab(path):
    eeg = scipy.io.loadmat(str(path), squeeze_me=True, struct_as_record=False)
    eeg = vars(eeg["EEG"]) if "EEG" in eeg else eeg
    epoched = int(eeg["trials"]) > 1
    if epoched:
        mne_data = mne.io.read_epochs_eeglab(str(path))
        rows = np.concatenate(list(mne_data.get_data()), axis=1) * 1e6
    else:
        mne_data = mne.io.read_raw_eeglab(str(path), preload=True)
        rows = mne_data.get_data() * 1e6
    hz = mne_data.info["sfreq"]
    channels = []
    for k, name in enumerate(mne_data.ch_names):
        c = channel(name, hz, "uV", rows[k])
        place = mne_data.info["chs"][k]["loc"][:3]
        length = np.linalg.norm(place)
        c["toward"] = (place / length).tolist() if np.isfinite(length) and length > 0 else None
        channels.append(c)
    if not epoched:
        notes = [[float(a["onset"]), float(a["duration"]), a["description"]] for a in mne_data.annotations]
        return {"reader": "eeglab", "channels": channels, "annotations": notes}
    notes = sorted([[(e.latency - 1) / hz, 0.0, str(e.type)] for e in eeg["event"]], key=lambda n: n[0])
    around = []
    for epoch in eeg["epoch"]:
        latencies, types = np.atleast_1d(epoch.eventlatency), np.atleast_1d(epoch.eventtype)
        around.append(next(str(t) for x, t in zip(latencies, types) if x == 0))
    epochs = {"first": round(float(mne_data.tmin) * hz), "len": len(mne_data.times), "around": around}
    return {"reader": "eeglab", "channels": channels, "annotations": notes, "epochs": epochs}


def main(root):
    files = {}
    for path in sorted(root.rglob("*")):
        kind = path.suffix.lower()
        name = path.relative_to(root).as_posix()
        if kind not in (".edf", ".bdf", ".vhdr", ".set"):
            continue
        try:
            files[name] = {".vhdr": read_brainvision, ".set": read_eeglab}.get(kind, read_edf)(path)
            if name.startswith(SUMS_ONLY):
                for c in files[name]["channels"]:
                    c["at"], c["values"] = [], []
        except Exception as e:  # noqa: BLE001
            files[name] = {"refused": f"{type(e).__name__}: {e}"[:160].replace(str(root), "DATA")}
    versions = {m.__name__: m.__version__ for m in (edfio, pyedflib, mne, np, scipy)}
    json.dump({"made_by": "tests/reference/readers.py", "versions": versions, "files": files}, sys.stdout, ensure_ascii=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

#!/usr/bin/env python3
"""Small EEGLAB datasets of simulated data, one per way in which EEGLAB saves them.

usage: eeglab.py FOLDER        writes them into FOLDER (fixtures/eeglab)

3 channels, 100 Hz; sample i of channel c is ((7 i + 131 c) mod 2001 - 1000) / 10 uV, counted on through epochs.
"""
import sys
from pathlib import Path

import numpy as np
import scipy.io

CHANNELS, HZ = 3, 100.0
LABELS = ["Fz", "E7", "EOGv"]
EMPTY = np.zeros((0, 0))


def signal(samples):
    c, i = np.mgrid[0:CHANNELS, 0:samples]
    return ((7 * i + 131 * c) % 2001 - 1000) / 10


def structs(rows):
    """A 1 x N structure array; every row has the same fields."""
    out = np.empty((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for k, row in enumerate(rows):
        out[0, k] = tuple(row.values())
    return out


def chanlocs():
    # Fz by its label alone, E7 by X/Y/Z over the right ear, EOGv by its type
    return structs([
        {"labels": "Fz", "type": "", "X": EMPTY, "Y": EMPTY, "Z": EMPTY, "theta": 0.0, "radius": 0.25},
        {"labels": "E7", "type": "EEG", "X": 0.0, "Y": -85.0, "Z": 0.0, "theta": 90.0, "radius": 0.5},
        {"labels": "EOGv", "type": "EOG", "X": 80.0, "Y": 10.0, "Z": -20.0, "theta": EMPTY, "radius": EMPTY},
    ])


def dataset(data, points, epochs, events, xmin=0.0, epoch=None):
    return {
        "setname": "simulated",
        "nbchan": float(CHANNELS),
        "trials": float(epochs),
        "pnts": float(points),
        "srate": HZ,
        "xmin": xmin,
        "xmax": xmin + (points - 1) / HZ,
        "times": EMPTY,
        "data": data,
        "icaact": EMPTY,
        "icaweights": np.eye(CHANNELS),
        "chanlocs": chanlocs(),
        "chaninfo": {"nosedir": "+X"},
        "event": structs(events),
        "urevent": EMPTY,
        "epoch": EMPTY if epoch is None else structs(epoch),
        "etc": {"nested": {"cell": np.array([["a", 1.0]], dtype=object)}},
    }


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)

    def save(name, content, wrap=True, packed=False):
        content = {"EEG": content} if wrap else content
        path = folder / name
        scipy.io.savemat(path, content, appendmat=False, do_compression=packed, long_field_names=True)
        text = b"MATLAB 5.0 MAT-file, simulated data, tests/reference/eeglab.py"
        path.write_bytes(text.ljust(116) + path.read_bytes()[116:])

    events = [
        {"type": "S255", "latency": 11.0, "duration": 0.0},
        {"type": 7.0, "latency": 31.25, "duration": 5.0},
        # 50 samples were cut out between samples 80 and 81
        {"type": "boundary", "latency": 80.5, "duration": 50.0},
        {"type": "S255", "latency": 111.0, "duration": np.nan},
        {"type": "boundary", "latency": 150.5, "duration": np.nan},
    ]
    samples = signal(200)
    save("inline.set", dataset(samples, 200, 1, events))
    save("single.set", dataset(samples.astype(np.float32), 200, 1, events), packed=True)
    save("fields.set", dataset((samples * 10).astype(np.int16), 200, 1, events), wrap=False, packed=True)
    save("beside.set", dataset("beside.fdt", 200, 1, events))
    (folder / "beside.fdt").write_bytes(samples.T.astype("<f4").tobytes())
    save("rows.set", dataset("rows.dat", 200, 1, events))
    (folder / "rows.dat").write_bytes(samples.astype("<f4").tobytes())

    # 4 epochs of 0.5 s around S1, S2, S1 and nothing; a response falls into each of the first two
    epochs = signal(200).reshape(CHANNELS, 4, 50).transpose(0, 2, 1)
    inside = [
        {"type": "S1", "latency": 11.0, "duration": 0.0, "epoch": 1.0},
        {"type": "response", "latency": 41.5, "duration": 0.0, "epoch": 1.0},
        {"type": "S2", "latency": 61.0, "duration": 0.0, "epoch": 2.0},
        {"type": "response", "latency": 95.0, "duration": 0.0, "epoch": 2.0},
        {"type": "S1", "latency": 111.0, "duration": 0.0, "epoch": 3.0},
    ]
    two = lambda a, b: np.array([[a, b]], dtype=object)
    epoch = [
        {"event": np.array([[1.0, 2.0]]), "eventlatency": two(0.0, 305.0), "eventtype": two("S1", "response")},
        {"event": np.array([[3.0, 4.0]]), "eventlatency": two(0.0, 340.0), "eventtype": two("S2", "response")},
        {"event": 5.0, "eventlatency": 0.0, "eventtype": "S1"},
        {"event": EMPTY, "eventlatency": EMPTY, "eventtype": EMPTY},
    ]
    save("epochs.set", dataset(epochs, 50, 4, inside, xmin=-0.1, epoch=epoch))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

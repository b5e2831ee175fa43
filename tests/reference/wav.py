"""WAV files for the reader contract, and what scipy.io.wavfile makes of hound's own test files.

    python tests/reference/wav.py HOUND_FOLDER

HOUND_FOLDER holds the test samples of hound 3.5.1 (github.com/ruuda/hound, testsamples/ and fuzz findings, Apache-2.0). Writes
fixtures/wav/*.wav (the layout by hand, bytes of a formula) and fixtures/golden/wav.json: per file the samples as shares of full
scale, channel by channel, or the kind of error. seed: none, everything is a formula.
"""

import json
import struct
import sys
import warnings
from pathlib import Path

import numpy as np
import scipy
from scipy.io import wavfile

ROOT = Path(__file__).resolve().parents[2]


def chunk(name, body, pad=True):
    return name + struct.pack("<I", len(body)) + body + (b"\0" if pad and len(body) % 2 else b"")


def fmt(tag, channels, rate, width, bits):
    return struct.pack("<HHIIHH", tag, channels, rate, rate * channels * width, channels * width, bits)


def extensible(tag, channels, rate, width, valid):
    guid = struct.pack("<H", tag) + bytes([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71])
    return fmt(0xFFFE, channels, rate, width, 8 * width) + struct.pack("<HHI", 22, valid, 3) + guid


def riff(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def digital(channels, frames):
    """(i*37 + ch*1009) % 20001 - 10000, as 16-bit numbers, frame by frame."""
    i, c = np.meshgrid(np.arange(frames), np.arange(channels), indexing="ij")
    return ((i * 37 + c * 1009) % 20001 - 10000).astype("<i2")


def fixtures():
    x2, x3, x9 = digital(2, 300), digital(3, 200), digital(9, 150)
    wide = x3.astype("<i4") << 16
    three = wide.view("u1").reshape(-1, 4)[:, 1:].tobytes()
    floats = (x9 / 32768.0).astype("<f8")
    labels = b"adtl" + chunk(b"labl", struct.pack("<I", 1) + b"ramp\0") + chunk(b"labl", struct.pack("<I", 2) + b"on\0")
    cue = struct.pack("<I", 2) + b"".join(struct.pack("<II4sIII", k, at, b"data", 0, 0, at) for k, at in [(1, 30), (2, 120)])
    n64 = floats.nbytes
    rf64 = (
        b"RF64" + b"\xff" * 4 + b"WAVE" + chunk(b"ds64", struct.pack("<QQQI", 0, n64, 150, 0))
        + chunk(b"fmt ", extensible(3, 9, 48_000, 8, 64)) + b"data" + b"\xff" * 4 + floats.tobytes()
    )
    return {
        "pcm16_cues": riff(chunk(b"fmt ", fmt(1, 2, 44_100, 2, 16)), chunk(b"data", x2.tobytes()), chunk(b"cue ", cue), chunk(b"LIST", labels)),
        "pcm24_odd_list": riff(chunk(b"LIST", b"INFOICMT\x03\0\0\0abc"), chunk(b"fmt ", extensible(1, 3, 96_000, 3, 24)), chunk(b"data", three)),
        "pcm8": riff(chunk(b"fmt ", fmt(1, 2, 8_000, 1, 8)), chunk(b"data", ((x2 >> 8) + 128).astype("u1").tobytes())),
        "pcm24_in_32": riff(chunk(b"fmt ", extensible(1, 3, 48_000, 4, 24)), chunk(b"data", wide.tobytes())),
        "f32": riff(chunk(b"fmt ", fmt(3, 9, 100_000, 4, 32)), chunk(b"data", floats.astype("<f4").tobytes())),
        "f64_rf64": rf64,
    }


def share(x):
    zero, one = {"uint8": (128, 128), "int16": (0, 2**15), "int32": (0, 2**31)}.get(x.dtype.name, (0, 1))
    return ((x.astype("f8") - zero) / one).reshape(len(x), -1).T


def main(folder):
    out = ROOT / "fixtures" / "wav"
    out.mkdir(exist_ok=True)
    for name, content in fixtures().items():
        (out / f"{name}.wav").write_bytes(content)
    files = {}
    for path in sorted(Path(folder).glob("*.wav")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                rate, x = wavfile.read(path)
                files[path.name] = {"rate": rate, "samples": share(x).tolist()}
            except Exception as error:  # whatever SciPy makes of hostile bytes
                files[path.name] = {"error": type(error).__name__}
    golden = {"versions": {"numpy": np.__version__, "scipy": scipy.__version__}, "hound_files": files}
    (ROOT / "fixtures" / "golden" / "wav.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])

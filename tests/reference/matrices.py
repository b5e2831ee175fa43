"""Makes fixtures/matrix: arrays as NumPy saves them and tables as pandas writes them.

Sample t of channel c is ((7 t + 131 c) mod 2001) - 1000, in units of 0.1 uV, so that every reader's numbers are known.
Run it from the project's root: python tests/reference/matrices.py
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

OUT = Path("fixtures/matrix")
NAMES = ["Fz", "C3", "EOG"]


def digital(channels, samples):
    c, t = np.ogrid[:channels, :samples]
    return (7 * t + 131 * c) % 2001 - 1000


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    x = digital(3, 200)
    np.save(OUT / "i2.npy", x.astype("<i2"))
    np.save(OUT / "f4_big_fortran.npy", np.asfortranarray(x.T.astype(">f4")))
    epochs = x.reshape(3, 5, 40).transpose(1, 0, 2)
    np.save(OUT / "epochs_f8.npy", np.ascontiguousarray(epochs.astype("<f8")))
    np.save(OUT / "epochs_f8_fortran.npy", np.asfortranarray(epochs.astype("<f8")))
    np.save(OUT / "one_channel_i4.npy", x[0].astype("<i4"))
    np.save(OUT / "objects.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    np.save(OUT / "records.npy", np.zeros(4, dtype=[("a", "<f8"), ("b", "<i4")]))
    np.savez(OUT / "archive.npz", x=x.astype("<i2"))
    table = pd.DataFrame(x.T, columns=NAMES)
    table.insert(0, "time", np.round(np.arange(200) / 250 + np.where(np.arange(200) < 120, 0, 2), 6))
    table.iloc[10, 1] = np.nan
    table.to_csv(OUT / "comma.csv", index=False)
    (table[NAMES] / 10).to_csv(OUT / "semicolon.csv", index=False, sep=";", decimal=",")
    table[NAMES].to_csv(OUT / "tab.tsv", index=False, sep="\t", na_rep="NaN")
    versions = {"python": sys.version.split()[0], "numpy": np.__version__, "pandas": pd.__version__}
    made = {"script": "tests/reference/matrices.py", "versions": versions, "licence": "as the project"}
    (OUT / "made.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""tables.py OUT RECORDING: checks an output folder against the contract with the standard library's csv and json."""
import csv
import io
import json
import pathlib
import sys

IDENTITY = ["recording", "subject", "session", "task", "run", "condition"]
NUMERIC = ("_uv", "_ms", "_s", "_us", "_hz")

out, recording = pathlib.Path(sys.argv[1]), sys.argv[2]
faults, seen = [], 0


def check(path):
    raw = path.read_bytes()
    text = raw.decode("utf-8")
    if b"\r" in raw or raw.startswith(b"\xef\xbb\xbf"):
        faults.append(f"{path}: carriage returns or a byte order mark")
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    head, body = rows[0], rows[1:]
    if path.name != "failures.csv" and head[:6] != IDENTITY:
        faults.append(f"{path}: begins with {head[:6]}")
    if len(set(head)) != len(head):
        faults.append(f"{path}: a column name occurs twice")
    for number, row in enumerate(body, start=2):
        if len(row) != len(head):
            faults.append(f"{path}:{number}: {len(row)} cells under {len(head)} headers")
        for name, cell in zip(head, row):
            if name.endswith(NUMERIC) and cell:
                value = float(cell)  # ValueError is a fault too: it stops here with the cell
                if value != value or value in (float("inf"), float("-inf")):
                    faults.append(f"{path}:{number}: {name} is {cell}")
    return len(body)


for path in sorted(out.rglob("*.csv")):
    rows = check(path)
    seen += 1
    print(f"{path.relative_to(out)}: {rows} rows")
for name in ("run.json", f"{recording}/recording.json", f"{recording}/columns.json"):
    json.loads((out / name).read_text("utf-8"))
for name in ("trials", "channels", "tep", "field", "peaks", "quality"):
    if not (out / recording / f"{name}.csv").is_file():
        faults.append(f"{recording}/{name}.csv is missing")
if (out / "failures.csv").read_text("utf-8").count("\n") != 1:
    faults.append("failures.csv lists a failure")
if faults or not seen:
    sys.exit("\n".join(faults) or "no table was written")

#!/usr/bin/env python3
"""One command from Python, a pandas table at the end: python examples/table.py fixtures/demo/demo.vhdr"""
import io
import os
import subprocess
import sys

import pandas as pd

stimkit = os.environ.get("STIMKIT", "stimkit")
done = subprocess.run([stimkit, "tep", *sys.argv[1:], "--site", "m1", "--table", "peaks", "--quiet"], capture_output=True, text=True)
if done.returncode not in (0, 1):  # 1: some recordings failed, the others are complete
    sys.exit(done.stderr)
peaks = pd.read_csv(io.StringIO(done.stdout))
print(peaks.pivot_table(index="recording", columns=["kind", "component"], values="amplitude_uv").round(2).to_string())

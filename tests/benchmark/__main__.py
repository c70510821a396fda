"""`make bench`: every benchmark in turn, or those named. Each prints a table and writes build/bench/NAME.json."""

from __future__ import annotations

import subprocess
import sys

NAMES = ("whole", "notifier", "ingest", "matcher", "transactions", "sizing", "traces")

for name in sys.argv[1:] or NAMES:
    if name not in NAMES:
        sys.exit(f"{name}: one of {', '.join(NAMES)}")
    if subprocess.run([sys.executable, "-m", f"tests.benchmark.{name}"], check=False).returncode:
        sys.exit(f"{name}: did not finish")

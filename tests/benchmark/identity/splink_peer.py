"""Splink on the same records: scored pairs of a task, from Splink's own environment."""

from __future__ import annotations

import csv
import json
import subprocess
import tempfile
from pathlib import Path

from tests.benchmark.identity.measures import Pair
from tests.benchmark.identity.records import Row, Task
from tests.benchmark.peers import peer_python

__all__ = ["splink_pairs"]


def _write(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("unique_id", "given", "middle", "surname", "birth", "sex", "number"))
        writer.writerows((row.record_id, *row[2:]) for row in rows)


def splink_pairs(task: Task, seed: int = 1) -> list[Pair]:
    """Every pair that Splink's blocking rules bring up, with its match weight. Parameters by EM, without the labels."""
    script = Path(__file__).with_name("splink_run.py")
    entity = {row.record_id: row.entity for row in (*task.left, *task.right)}
    with tempfile.TemporaryDirectory() as folder:
        left, right, out, spec = (Path(folder) / name for name in ("left.csv", "right.csv", "out.csv", "spec.json"))
        _write(left, task.left)
        if not task.within:
            _write(right, task.right)
        spec.write_text(
            json.dumps(
                {
                    "left": str(left),
                    "right": None if task.within else str(right),
                    "out": str(out),
                    "number": any(row.number for row in task.left),
                    "sex": any(row.sex for row in task.left),
                    "seed": seed,
                }
            )
        )
        subprocess.run([peer_python("bench-splink"), "-W", "ignore", str(script), str(spec)], check=True)
        with out.open(newline="") as rows:
            return [Pair(float(bits), float(p), entity[a] == entity[b]) for a, b, bits, p in csv.reader(rows)]

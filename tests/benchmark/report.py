"""What a benchmark measured: a table for people, `build/bench/NAME.json` for programs."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

__all__ = ["Report", "percentile"]

OUT = Path(__file__).resolve().parents[2] / "build" / "bench"
console = Console()
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # fresh topics have no leader for a moment; it retries


@dataclass(frozen=True)
class _Row:
    system: str
    metric: str
    value: float
    unit: str


class Report:
    """Rows of {system, metric, value, unit}. wanted: metric -> what the issue asks for, in words."""

    def __init__(self, name: str, title: str, wanted: dict[str, str] | None = None) -> None:
        self.name = name
        self.title = title
        self.wanted = wanted or {}
        self.rows: list[_Row] = []

    def add(self, system: str, metric: str, value: float, unit: str, digits: int = 4) -> None:
        """digits: how many decimals are kept."""
        self.rows.append(_Row(system, metric, round(value, digits), unit))

    def publish(self) -> None:
        """Write the JSON and print the table."""
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / f"{self.name}.json").write_text(json.dumps([asdict(row) for row in self.rows], indent=1) + "\n")
        table = Table("system", "metric", "value", "unit", "wanted", title=self.title)
        for row in self.rows:
            wanted = self.wanted.get(row.metric, "") if row.system == "sallyport" else ""
            table.add_row(
                row.system,
                row.metric,
                f"{row.value:,.4g}" if row.value < 1e4 else f"{row.value:,.0f}",
                row.unit,
                wanted,
            )
        console.print(table)


def percentile(values: list[float], q: float) -> float:
    """The q-quantile (0..1) of `values`, by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]

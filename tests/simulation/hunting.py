"""Which history shows a planted bug. Those that do are kept in seeds.json, so that `make test` plays one for each;
`make simulate ARGS="--mutations"` looks for them anew and writes it."""

from __future__ import annotations

import json
import multiprocessing
from itertools import count, islice
from pathlib import Path
from typing import Final

from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.runs import Outcome, play
from tests.simulation.service import is_stormy

__all__ = ["hunt", "known_seeds", "table"]

_SEEDS: Final = Path(__file__).with_name("seeds.json")


def known_seeds() -> dict[str, int]:
    """Planted bug -> the first history that showed it when they were last looked for."""
    seeds: dict[str, int] = json.loads(_SEEDS.read_text())
    return seeds


def hunt(mutation: Mutation, within: int | None = None) -> tuple[int, Outcome] | None:
    """How many stormy histories it took, and the one that shows the bug; None if none within the limit does."""
    for number, seed in enumerate(islice(filter(is_stormy, count()), within or mutation.within), 1):
        outcome = play(seed, under=mutation.plant())
        if outcome.broken:
            return number, outcome
    return None


def table(jobs: int) -> tuple[str, list[str]]:
    """Which invariant finds each, after how many seeds; and those that nothing found. Writes seeds.json."""
    lines = [f"{'planted bug':<58} {'found by':<10} histories"]
    missed: list[str] = []
    seeds: dict[str, int] = {}
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for mutation, found in zip(MUTATIONS, pool.imap(_hunt_number, range(len(MUTATIONS))), strict=True):
            if found is None:
                missed.append(mutation.name)
                lines.append(f"{mutation.name:<58} {'NOTHING':<10} {mutation.within} histories")
                continue
            number, outcome = found
            seeds[mutation.name] = outcome.seed
            by = ", ".join(sorted({which for which, _ in outcome.broken}))
            lines.append(f"{mutation.name:<58} {by:<10} {number:>4} (seed {outcome.seed})")
    _SEEDS.write_text(json.dumps(seeds, indent=1) + "\n")
    return "\n".join(lines), missed


def _hunt_number(index: int) -> tuple[int, Outcome] | None:
    return hunt(MUTATIONS[index])

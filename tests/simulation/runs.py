"""Playing histories: one with its story, or many, spread over processes, with a count of what happened in them."""

from __future__ import annotations

import gc
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from tests.simulation.history import generate
from tests.simulation.invariants import Broken, check
from tests.simulation.loop import Deadlock, Runaway
from tests.simulation.world import World

__all__ = ["Outcome", "Summary", "play", "play_all", "tell"]

_CHUNK = 25


@dataclass(frozen=True)
class Outcome:
    """One history. story: empty, unless something is broken or it was asked for."""

    seed: int
    broken: tuple[Broken, ...]
    counts: Counter[str]
    story: str


@dataclass
class Summary:
    """Many of them."""

    seeds: int = 0
    failed: list[Outcome] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.counts += outcome.counts
        if outcome.broken:
            self.failed.append(outcome)

    def __str__(self) -> str:
        lines = [f"{self.seeds} histories, {len(self.failed)} of them broken"]
        lines += [f"  {count:>9,}  {what}" for what, count in sorted(self.counts.items())]
        for outcome in self.failed[:20]:
            lines.append(f"seed {outcome.seed}: {outcome.broken[0][0]}: {outcome.broken[0][1][:300]}")
        return "\n".join(lines)


def play(seed: int, *, with_story: bool = False, under: AbstractContextManager[object] | None = None) -> Outcome:
    """The history of a seed. under: entered while the services run, such as a planted bug."""
    history = generate(seed)
    world = World(history)
    broken: list[Broken] = []
    enabled = gc.isenabled()
    gc.disable()  # a collection in the middle would close what a killed process has left, at a moment of its own
    try:
        with under or nullcontext():
            world.run()
        broken = check(world)
    except (Deadlock, Runaway) as error:
        broken = [("G0", str(error))]
    finally:
        if enabled:
            gc.enable()
    counts = world.happened()
    story = tell(world, broken) if broken or with_story else ""
    return Outcome(seed, tuple(broken), counts, story)


def tell(world: World, broken: Sequence[Broken]) -> str:
    """The history in words, what happened, and what came of it."""
    verdict = [f"{name} IS BROKEN: {said}" for name, said in broken] or ["every invariant holds"]
    return "\n".join(
        [
            world.history.describe(),
            "",
            str(world.story),
            "",
            f"seed {world.history.seed}, replay with: python -m tests.simulation --seed {world.history.seed}",
            *verdict,
        ]
    )


def play_all(seeds: Sequence[int], jobs: int = 1) -> Iterator[Outcome]:
    """All of them, in no order if there are several jobs."""
    chunks = [seeds[begin : begin + _CHUNK] for begin in range(0, len(seeds), _CHUNK)]
    if jobs == 1:
        for chunk in chunks:
            yield from _play_some(chunk)
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for outcomes in pool.imap_unordered(_play_some, chunks):
            yield from outcomes


def _play_some(seeds: Iterable[int]) -> list[Outcome]:
    found = [play(seed) for seed in seeds]
    gc.collect()
    return found

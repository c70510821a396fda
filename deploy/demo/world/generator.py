"""A world from a seed: what is sent, in which order, and the truth of it.

The same parameters give the same world, to the byte. `World.detainers` are those lodged before the stream begins;
`World.stream` is the rest in the order of sending: jail events and late detainers, lifts, amendments.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from contracts.types.common import Tier
from contracts.types.conflict import Stage
from deploy.demo.world import hartford
from deploy.demo.world.life import Booking, Expected, Life, Lodged, Post
from deploy.demo.world.people import Population
from deploy.demo.world.places import HARTFORD, PLACES
from deploy.demo.world.plots import Plot, shuffled, stranger

__all__ = ["START", "Recipe", "World", "generate"]

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
_SPAN: Final = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What kind of world.

    events: posts of the stream, at least so many (the last life is told to its end).
    strangers: share of bookings on whom there is no detainer.
    duplicates: share of jail events that are sent a second time later. reordered: share that is held back, by up to
    `delay` places in the stream, across all order. run: see Population; for a cluster that other runs used.
    """

    seed: int = 1
    events: int = 3000
    strangers: float = 0.95
    duplicates: float = 0.02
    reordered: float = 0.0
    delay: int = 200
    run: int = 0
    with_hartford: bool = True


@dataclass(frozen=True, slots=True)
class World:
    recipe: Recipe
    detainers: list[Post]
    stream: list[Post]
    expected: list[Expected]
    hartford: tuple[Lodged, Booking] | None
    secrets: frozenset[str]
    """Names, birth dates and numbers that must not be found in a log, a key or a header (G8)."""
    strangers: int
    wanted: int

    def by_stage(self) -> Counter[Stage]:
        """How many conflicts must stand, by stage."""
        return Counter(e.stage for e in self.expected if e.is_told and e.stage is not None)


def generate(recipe: Recipe) -> World:
    """Make the world. Seconds for 100,000 events."""
    rng = random.Random(recipe.seed)  # noqa: S311 - a synthetic world, to be had again from its seed
    population = Population(rng, recipe.run)
    prefix = f"{recipe.run:x}-" if recipe.run else ""
    lives: list[Life] = []
    told: tuple[Lodged, Booking] | None = None
    posts = wanted = 0
    if recipe.with_hartford:
        life = Life(0, prefix, rng, population, population.draw(), HARTFORD, hartford.BOOKED)
        told = hartford.tell(life)
        lives.append(life)
        posts += len(life.posts)
        wanted += 1
    plots: list[Plot] = []
    bookings = wanted
    while posts < recipe.events:
        start = START + _SPAN * rng.random()
        life = Life(len(lives) + 1, prefix, rng, population, population.draw(), rng.choice(PLACES), start)
        # By quota and not by chance, so that a small world has its share too.
        if wanted < (1 - recipe.strangers) * (bookings + 1):
            plots = plots or shuffled(rng)
            plot = plots.pop()
            wanted += 1
        else:
            plot = stranger
        bookings += 1
        life.plot = plot.__name__
        plot(life)
        lives.append(life)
        posts += sum(post.at >= START or post.event_id is not None for post in life.posts)
    everything = sorted((post for life in lives for post in life.posts), key=lambda post: post.at)
    # Hartford lies years before; it is part of the stream, and the first of it.
    early = [p for p in everything if p.event_id is None and p.at < START and p.life != 0]
    stream = [p for p in everything if not (p.event_id is None and p.at < START and p.life != 0)]
    return World(
        recipe=recipe,
        detainers=early,
        stream=_disturbed(stream, recipe, rng),
        expected=[e for life in lives for e in life.expected],
        hartford=told,
        secrets=frozenset(s for human in population.everyone for s in human.secrets() if s),
        strangers=bookings - wanted,
        wanted=wanted,
    )


def _disturbed(stream: list[Post], recipe: Recipe, rng: random.Random) -> list[Post]:
    """Jail events sent twice, and out of order. An agency's commands keep their order: it waits for each answer."""
    places: list[tuple[float, int, Post]] = []
    for place, post in enumerate(stream):
        at = float(place)
        if post.event_id is not None:
            if rng.random() < recipe.reordered:
                at += rng.uniform(0, recipe.delay)
            if rng.random() < recipe.duplicates:
                places.append((at + rng.uniform(1, 50), len(places), post))
        places.append((at, len(places), post))
    return [post for _, _, post in sorted(places, key=lambda p: p[:2])]


def tiers(world: World) -> Counter[Tier]:
    """Pairs by how sure their identity is."""
    return Counter(e.tier for e in world.expected)
